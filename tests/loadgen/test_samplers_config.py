"""A Collector configuration read into its samplers; what is wrong or unknowable is named; secrets go."""

from __future__ import annotations

import pytest
import yaml

from loadgen.errors import InputError
from loadgen.samplers import (
    ErrorStatus,
    HeadSampler,
    Latency,
    Probabilistic,
    Stage,
    TailSampler,
    pipeline_from_config,
    redact_config,
)

HEAD = """
receivers: {otlp: {protocols: {http: {endpoint: 0.0.0.0:4318}}}}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: "${env:LIMIT}"}
  probabilistic_sampler/x: {mode: hash_seed, hash_seed: 22, sampling_percentage: 10}
exporters: {otlp_grpc/tempo: {endpoint: "${env:TEMPO}"}}
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, probabilistic_sampler/x]
      exporters: [otlp_grpc/tempo]
    logs: {receivers: [otlp], processors: [], exporters: [otlp_grpc/tempo]}
"""
TAIL = """
processors:
  tail_sampling:
    decision_wait: 1m30s
    num_traces: 1000
    decision_cache: {sampled_cache_size: 500000, non_sampled_cache_size: 500000}
    policies:
      - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
      - {name: slow, type: latency, latency: {threshold_ms: 1000}}
      - {name: baseline, type: probabilistic, probabilistic: {sampling_percentage: 5}}
service: {pipelines: {traces/t: {processors: [tail_sampling]}}}
"""


def sampler_config(kind: str, settings: str) -> str:
    return f"processors: {{{kind}: {settings}}}\nservice: {{pipelines: {{traces: {{processors: [{kind}]}}}}}}"


def head_config(settings: str) -> str:
    return sampler_config("probabilistic_sampler", settings)


def tail_config(policy: str) -> str:
    return sampler_config("tail_sampling", f"{{policies: [{policy}]}}")


def test_head_sampler_is_read() -> None:
    """Component names with a suffix work, references outside sampling do not matter, order is kept."""
    pipeline = pipeline_from_config(HEAD, "collector.yaml")

    assert pipeline.processors == ("memory_limiter", "probabilistic_sampler/x")
    assert (Stage("probabilistic_sampler/x", HeadSampler(10, "hash_seed", 22)),) == pipeline.stages
    assert (pytest.approx(pipeline.configured_ratio), pipeline.effective_ratio) == (0.1, 1638 / 16384)
    assert pipeline.describe() == ["probabilistic_sampler/x: hash_seed seed 22, 10 % asked, 9.99756 % kept"]


def test_tail_sampler_is_read() -> None:
    """Policies are read in order with their own settings."""
    pipeline = pipeline_from_config(TAIL, "collector.yaml")
    policies = (ErrorStatus("errors"), Latency("slow", 1000), Probabilistic("baseline", 5))

    assert (Stage("tail_sampling", TailSampler(policies, 90.0, 1000)),) == pipeline.stages
    assert (pipeline.configured_ratio, pipeline.effective_ratio) == (None, None)
    line = "tail_sampling: errors or longer than 1000 ms or 5 % of all; decided after 90 s, 1,000 traces held"
    assert [line] == pipeline.describe()


def test_defaults_are_the_collectors() -> None:
    """An empty sampler keeps nothing, in hash_seed mode, failing closed."""
    pipeline = pipeline_from_config(head_config("{}"), "c")

    assert (Stage("probabilistic_sampler", HeadSampler(0, "hash_seed", 0, 4, fail_closed=True)),) == pipeline.stages


def test_no_sampler_keeps_everything() -> None:
    """A pipeline without processors has ratio 1 and says so."""
    pipeline = pipeline_from_config("service: {pipelines: {traces: {receivers: [otlp]}}}", "c")

    assert (pipeline.configured_ratio, pipeline.effective_ratio) == (1.0, 1.0)
    assert pipeline.describe() == ["traces: no sampler; every trace is kept"]


def test_numbers_as_yaml_1_2_reads_them() -> None:
    """An exponent without a dot is a number and an octal seed is octal, as for the Collector."""
    sampler = pipeline_from_config(head_config("{sampling_percentage: 1e-3, hash_seed: 0o17}"), "c").heads[0]

    assert (sampler.sampling_percentage, sampler.hash_seed) == (0.001, 15)


TWO = """
processors:
  probabilistic_sampler: {sampling_percentage: 10}
  probabilistic_sampler/b: {sampling_percentage: 20}
service:
  pipelines:
    traces/a: {processors: [probabilistic_sampler]}
    traces/b: {processors: [probabilistic_sampler/b]}
    traces/raw: {processors: []}
"""


def test_two_sampling_pipelines_need_a_choice() -> None:
    """Two candidates are named; choosing one takes it."""
    with pytest.raises(InputError, match=r"service\.pipelines: got 'traces/a, traces/b'"):
        pipeline_from_config(TWO, "c")

    assert pytest.approx(0.2) == pipeline_from_config(TWO, "c", "traces/b").configured_ratio
    with pytest.raises(InputError, match="got 'traces/z'"):
        pipeline_from_config(TWO, "c", "traces/z")


def test_one_sampling_pipeline_among_others_is_taken() -> None:
    """A second traces pipeline without a sampler does not make the choice doubtful."""
    text = TWO.replace("    traces/b: {processors: [probabilistic_sampler/b]}\n", "")

    assert pipeline_from_config(text, "c").name == "traces/a"


WRONG = [
    (
        head_config("{sampling_percentag: 10}"),
        "sampler.sampling_percentag: got 10, is not a setting here; did you mean sampling_percentage?",
    ),
    (
        head_config("{sampling_percentage: -1}"),
        "c.yaml: processors.probabilistic_sampler.sampling_percentage: got -1.0, must be 0, or",
    ),
    (head_config("{sampling_percentage: ten}"), "sampling_percentage: got 'ten', must be a number"),
    (head_config("{sampling_percentage: true}"), "sampling_percentage: got True, must be a number"),
    (head_config("{sampling_percentage: .nan}"), "sampling_percentage: got nan, must be a finite number"),
    (head_config('{sampling_percentage: "${env:PCT}"}'), "got '${env:PCT}', is a reference"),
    (head_config('{sampling_percentage: "${PCT}"}'), "got '${PCT}', is a reference"),
    (head_config('"${file:sampler.yaml}"'), "got '${file:sampler.yaml}', is a reference"),
    (
        head_config("{sampling_percentage: 10, mode: head}"),
        "mode: got 'head', must be one of hash_seed, prop",
    ),
    (head_config("{sampling_percentage: 10, mode: on}"), "mode: got 'on', must be one of hash_seed, prop"),
    (
        head_config("{sampling_percentage: 10, hash_seed: 4294967296}"),
        "hash_seed: got 4294967296, must be 0-4294",
    ),
    (
        head_config("{sampling_percentage: 10, sampling_precision: 0}"),
        "sampling_precision: got 0, must be 1-14",
    ),
    (head_config("{sampling_percentage: 10, fail_closed: 1}"), "fail_closed: got 1, must be true or false"),
    (head_config("[10]"), "processors.probabilistic_sampler: got [10], must be a mapping"),
    (
        tail_config("{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 5}}"),
        "policies[0].type: got 'rate_limiting', depends on when",
    ),
    (
        tail_config("{name: r, type: probabilistc}"),
        "policies[0].type: got 'probabilistc', must be one of always_sample, status_code",
    ),
    (tail_config("{name: r, type: drop}"), "policies[0].type: got 'drop', is not modelled yet"),
    (tail_config("{type: always_sample}"), "policies[0].name: got '', must name"),
    (
        tail_config("{name: a, type: always_sample}, {name: a, type: always_sample}"),
        "policies: got ['a', 'a'], must have different names",
    ),
    (
        tail_config("{name: s, type: status_code, status_code: {status_codes: [OK]}}"),
        "status_codes: got ['OK'], needs each span's status",
    ),
    (
        tail_config("{name: s, type: status_code, status_code: {status_codes: [error]}}"),
        "status_codes: got ['error'], must be a list of OK",
    ),
    (tail_config("{name: s, type: status_code}"), "status_code.status_codes: got [], must be a list of OK"),
    (
        tail_config("{name: l, type: latency, latency: {threshold_ms: 1, upper_threshold_ms: 5}}"),
        "latency.upper_threshold_ms: got 5, cannot be predicted",
    ),
    (tail_config("{name: l, type: latency, latency: {treshold_ms: 1}}"), "did you mean threshold_ms?"),
    (
        tail_config("{name: p, type: probabilistic, probabilistic: {sampling_percentage: -1}}"),
        "sampling_percentage: got -1.0, must be 0 or more",
    ),
    (sampler_config("tail_sampling", "{decision_wait: 5}"), "decision_wait: got 5, must be a text"),
    (sampler_config("tail_sampling", "{decision_wait: 5x}"), "decision_wait: got '5x', must be a duration"),
    (
        sampler_config("tail_sampling", "{maximum_trace_size_bytes: 5}"),
        "maximum_trace_size_bytes: got 5, drops",
    ),
    (sampler_config("tail_sampling", "{sampling_strategy: x}"), "sampling_strategy: got 'x', must be one of"),
    (sampler_config("filter", "{}"), "processors.filter: got 'filter', may drop or change spans"),
    (
        sampler_config("attributes", "{actions: [{key: sampling.priority, value: 1, action: insert}]}"),
        "actions[0].key: got 'sampling.priority'",
    ),
    (
        sampler_config("resource/x", "{attributes: [{key: loadtest.run.id, action: delete}]}"),
        "resource/x.attributes[0].key: got 'loadtest.run.id'",
    ),
    (
        sampler_config("redaction", "{allowed_keys: [a]}"),
        "allowed_keys: got ['a'], must hold loadtest.run.id",
    ),
    (
        "service: {pipelines: {traces: {processors: [batch]}}}",
        "processors: got 'batch', is used by the pipeline",
    ),
    ("service: {pipelines: {logs: {}}}", "service.pipelines: got ['logs'], must be a traces pipeline"),
    ("", "service.pipelines: got [], must be a traces pipeline"),
    ("a: [", "c.yaml:1: got"),
    ("a: 1\nb: 2\na: 3", "c.yaml:3: got \"key 'a' given twice\", must be YAML"),
    ("- a", "c.yaml: got ['a'], must be a mapping"),
    ("a: \x00", "c.yaml: got"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_configurations(text: str, message: str) -> None:
    """Each mistake gives one line with place, value and rule."""
    with pytest.raises(InputError) as caught:
        pipeline_from_config(text, "c.yaml")

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


SECRETS = """
# the old token was s3cret-comment
extensions:
  basicauth: {client_auth: {username: me, password: s3cret-1}}
  bearertokenauth: {token: s3cret-2, filename: /etc/token}
  headers_setter: {headers: [{action: upsert, key: X-Scope-OrgID, value: s3cret-3}]}
  oauth2client: {client_id: s3-public, client_secret: s3cret-4, token_url: "https://login/token"}
exporters:
  otlp_http:
    endpoint: https://user:s3cret-5@tempo:4318/v1?api_key=s3cret-6&x=1
    headers: {Authorization: "Basic s3cret-7", x-plain: "${env:PLAIN}"}
    tls: {key_pem: "-----BEGIN PRIVATE KEY----- s3cret-8", ca_pem: "-----BEGIN CERTIFICATE----- s3cret-9",
      key_file: /etc/key.pem, insecure: true}
  other: {api-key: s3cret-10, dsn: s3cret-11, accessKey: s3cret-12, password: 12345,
    passwords: [s3cret-13, null]}
processors: {probabilistic_sampler: {sampling_percentage: 10, hash_seed: 22}}
"""


def test_secrets_are_redacted() -> None:
    """No secret is left, in values, headers, URLs, PEM blocks or comments; everything else still is."""
    redacted = redact_config(SECRETS)
    read = yaml.safe_load(redacted)

    assert "s3cret" not in redacted
    assert "12345" not in redacted
    assert read["processors"]["probabilistic_sampler"] == {"sampling_percentage": 10, "hash_seed": 22}
    exporter = read["exporters"]["otlp_http"]
    assert exporter["endpoint"] == "https://[redacted]@tempo:4318/v1?api_key=[redacted]&x=1"
    assert exporter["headers"] == {"Authorization": "[redacted]", "x-plain": "${env:PLAIN}"}
    assert (exporter["tls"]["key_file"], exporter["tls"]["insecure"]) == ("/etc/key.pem", True)
    assert {"https://login/token"} == {read["extensions"]["oauth2client"]["token_url"]}
    assert read["extensions"]["bearertokenauth"] == {"token": "[redacted]", "filename": "/etc/token"}


def test_redacted_configuration_samples_the_same() -> None:
    """What is kept of a configuration is still enough to audit with."""
    for text in (HEAD, TAIL):
        again = pipeline_from_config(redact_config(text), "kept")
        assert pipeline_from_config(text, "c").stages == again.stages

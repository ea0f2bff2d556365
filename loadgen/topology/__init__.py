"""Topologies: YAML -> frozen, validated :class:`Topology`."""

from loadgen.topology.check import largest_trace
from loadgen.topology.load import find_topology, load_topology, parse_topology, shipped_topologies, topology_schema
from loadgen.topology.model import Call, Entry, Failure, Latency, Operation, Scope, Service, Step, Topology
from loadgen.topology.values import Attributes, Value

__all__ = [
    "Attributes", "Call", "Entry", "Failure", "Latency", "Operation", "Scope", "Service", "Step", "Topology", "Value",
    "find_topology", "largest_trace", "load_topology", "parse_topology", "shipped_topologies", "topology_schema",
]  # fmt: skip

"""The tables of a run file, and the history of its format.

Format history
    1  first format: meta, blocks, ledger, lateness, trouble, rates, samples, gaps, audits.
"""

from __future__ import annotations

FORMAT = 1

SCHEMA = """
-- What was asked and of whom; values are JSON. Secrets never enter.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

-- One row per block of traces drawn: with topology and seed enough to draw it again.
-- starts: intended starts as little-endian int64 [ns since the epoch], zlib-compressed differences.
CREATE TABLE blocks (
  worker INTEGER NOT NULL, block INTEGER PRIMARY KEY,
  traces INTEGER NOT NULL, spans INTEGER NOT NULL, starts BLOB NOT NULL
);

-- Increments of the ledger: what was counted in the interval that ended at time_s, per worker.
CREATE TABLE ledger (
  time_s REAL NOT NULL, worker INTEGER NOT NULL, state TEXT NOT NULL,
  spans INTEGER NOT NULL, traces INTEGER NOT NULL, requests INTEGER NOT NULL, bytes INTEGER NOT NULL
);

-- Lateness of sends against their intended time: counts per histogram bucket (upper bound in us).
CREATE TABLE lateness (
  time_s REAL NOT NULL, worker INTEGER NOT NULL, le_us INTEGER NOT NULL, requests INTEGER NOT NULL
);

-- Every run of traces that did not simply arrive: traces [first, first+traces) of a block.
CREATE TABLE trouble (
  worker INTEGER NOT NULL, block INTEGER NOT NULL, first INTEGER NOT NULL, traces INTEGER NOT NULL,
  spans INTEGER NOT NULL, state TEXT NOT NULL, cause TEXT NOT NULL
);

-- The asked total rate from a time on.
CREATE TABLE rates (time_s REAL NOT NULL, traces_per_s REAL NOT NULL, spans_per_s REAL NOT NULL, text TEXT NOT NULL);

-- Scraped values under this product's own names; labels is a JSON object, source is collector, tempo, sink or process.
CREATE TABLE samples (
  time_s REAL NOT NULL, source TEXT NOT NULL, quantity TEXT NOT NULL, labels TEXT NOT NULL,
  value REAL NOT NULL, unit TEXT NOT NULL
);
CREATE INDEX samples_by_quantity ON samples (source, quantity, time_s);

-- Times a target could not be read: a gap, not a zero.
CREATE TABLE gaps (time_s REAL NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL);

-- Results of audits, newest last; result is JSON.
CREATE TABLE audits (time_s REAL NOT NULL, result TEXT NOT NULL);
"""

"""Writes the full held-out text of examples/austen-tiny as token ids: see heldout.mjs.

    heldout.py DATA TOKENIZER EXCERPT OUTPUT

DATA is the folder `data` of the R package janeaustenr 1.0.0, TOKENIZER a tokenizer.json, EXCERPT the ids of
examples/austen-tiny/heldout.tokens.json, which the full ones must begin with.
"""

import gzip
import io
import json
import pathlib
import sys
import zlib

import rdata
from tokenizers import Tokenizer

# In the order of publication, which is that of janeaustenr::austen_books().
BOOKS = ("sensesensibility", "prideprejudice", "mansfieldpark", "emma", "northangerabbey", "persuasion")
HELD_OUT = 0.05
EXPECTED_IDS = 48988


def lines_of(data):
    """Lines of each book, from R's database of lazily loaded objects: entries of a length and compressed bytes."""
    index = rdata.read_rds(io.BytesIO(gzip.decompress((data / "Rdata.rdx").read_bytes())))
    blob = (data / "Rdata.rdb").read_bytes()
    for book in BOOKS:
        offset, length = (int(number) for number in index["variables"][book])
        lines = rdata.read_rds(io.BytesIO(zlib.decompress(blob[offset + 4 : offset + length])))
        yield [str(line) for line in lines]


def paragraphs(lines):
    """Runs of lines that are not blank, unwrapped, every run of blanks made one."""
    current = []
    for line in [*lines, ""]:
        words = line.split()
        if words:
            current += words
        elif current:
            yield " ".join(current)
            current = []


def main():
    data, tokenizer, excerpt, output = map(pathlib.Path, sys.argv[1:])
    text = "\n\n".join(paragraph for lines in lines_of(data) for paragraph in paragraphs(lines))
    # The last twentieth, from the beginning of a paragraph on.
    start = text.index("\n\n", int(len(text) * (1 - HELD_OUT))) + 2
    ids = Tokenizer.from_file(str(tokenizer)).encode(text[start:] + "\n", add_special_tokens=False).ids
    known = json.loads(excerpt.read_text())
    if len(ids) != EXPECTED_IDS or ids[: len(known)] != known:
        sys.exit(f"heldout: {len(ids)} ids, which should be {EXPECTED_IDS} and begin with those of {excerpt}")
    output.write_text(json.dumps(ids, separators=(",", ":")))


main()

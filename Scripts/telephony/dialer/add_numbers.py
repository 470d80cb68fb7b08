#!/usr/bin/python3
"""Puts the numbers on standard input, one a line, on a list: to try the programs beside this file."""

import argparse
import sys
from itertools import islice
from typing import Iterator, List

import scope
from daemon import Parser, add_daemon
from scope.v1 import envelope_pb2

NUMBERS_PER_CHANGE = 4_096


def options_of() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    add_daemon(parser)
    parser.add_argument("--actor", default="", metavar="USER", help="user who acts; default: the platform")
    parser.add_argument("list", metavar="LIST", help="id of the list")
    return parser.parse_args()


def add(client: scope.Client, options: argparse.Namespace, numbers: List[str]) -> str:
    request = envelope_pb2.Request(id=client.next_id(), company=options.company)
    request.add_numbers.list, request.add_numbers.actor = options.list, options.actor
    for number in numbers:
        request.add_numbers.numbers.add().number = number
    added = envelope_pb2.Response.FromString(client.call(request.SerializeToString())[-1]).add_numbers
    return f"{options.list}: {added.added} added, {added.total} on it"


def main() -> int:
    options = options_of()
    lines: Iterator[str] = (line.strip() for line in sys.stdin if line.strip())
    try:
        with scope.Client(options.address, timeout_ms=10_000) as client:
            while numbers := list(islice(lines, NUMBERS_PER_CHANGE)):
                print(add(client, options, numbers))
        return 0
    except (scope.CallError, scope.LibraryError) as error:
        print(f"add_numbers.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

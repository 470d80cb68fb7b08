"""Runs the sessions of README.md as a reader would, one after another in one interpreter."""

import doctest
import re
import unittest
from pathlib import Path
from typing import Any, Dict

PAGE = Path(__file__).resolve().parent.parent / "README.md"


class Page(unittest.TestCase):
    maxDiff = None

    def test_every_session_prints_what_is_shown(self) -> None:
        page = PAGE.read_text(encoding="utf-8")
        sessions = list(re.finditer(r"^```pycon\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
        self.assertEqual(page.count("```pycon"), len(sessions))
        self.assertGreaterEqual(len(sessions), 5)
        names: Dict[str, Any] = {}
        for session in sessions:
            line = page.count("\n", 0, session.start(1))
            test = doctest.DocTestParser().get_doctest(session.group(1), names, "README.md", str(PAGE), line)
            self.assertGreater(len(test.examples), 0)
            report: "list[str]" = []
            doctest.DocTestRunner(verbose=False).run(test, out=report.append, clear_globs=False)
            self.assertEqual("".join(report), "")
            names = test.globs


if __name__ == "__main__":
    unittest.main()

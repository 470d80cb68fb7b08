"""Prints, for each id, the project by which the user of that id is allowed the queue of that id, and what that user sees
of the lists with all the ids. Arguments: address, ids."""

import os
import sys

import scope

ids = [os.fsencode(argument).decode("utf-8") for argument in sys.argv[2:]]
with scope.Client(sys.argv[1], company="c", timeout_ms=20000) as client:
    for id in ids:
        answer = client.check("user:" + id, "queue:" + id, right=id)
        seen = client.filter("user:" + id, "list", ids, project=id)
        sys.stdout.buffer.write("{}\n{}\n".format(answer.project, ",".join(seen.ids)).encode("utf-8"))

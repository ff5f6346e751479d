"""The verb for TAs that opens the review page."""

import argparse
import sys

from autograder.commands.options import Verbs, chosen, decider, results_folder, verb
from autograder.errors import MasterError, UsageError


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
    review = verb(verbs, "review", "serve a local web page to read answers, give points and comments", _review)
    results_folder(review)
    review.add_argument("--by", default="", metavar="NAME", help="who decides (default: your login)")
    review.add_argument("--names", action="store_true", help="show names (default: hidden until asked for)")
    review.add_argument("--port", type=int, default=0, metavar="N", help="the port on 127.0.0.1 (default: a free one)")


def _review(options: argparse.Namespace) -> int:
    try:
        from autograder.review.access import secret
        from autograder.review.app import build
        from autograder.review.server import serve
    except ModuleNotFoundError as error:
        fix = "run `pip install 'homework-autograder[review]'`"
        raise UsageError(f"a package is not installed ({error.name})", "autograder review", fix) from error
    from autograder.gradebook.store import open_gradebook
    from autograder.release.reference import reference_answers
    from autograder.review.desk import Desk
    from autograder.review.publish import Publisher

    assignment = chosen(options)
    try:
        reference = reference_answers(assignment)
    except MasterError as error:
        print(f"autograder: no reference answers are shown: {error}", file=sys.stderr)
        reference = {}
    publisher = Publisher(options.out, options.db, assignment)
    desk = Desk(
        folder=options.out,
        url=options.db,
        assignment=assignment,
        reference=reference,
        by=decider(options),
        names=options.names,
        seed=secret(),
        publisher=publisher,
    )
    with open_gradebook(options.out, options.db, writing=False) as gradebook:
        publisher.catch_up(gradebook)
    behind = serve(lambda access: build(desk, access), publisher, options.port)
    if behind:
        fix = "the decisions are in the gradebook, and the next `autograder review` brings the files up to date"
        print(f"autograder: grades.csv is out of date ({behind}); {fix}", file=sys.stderr)
    return 0

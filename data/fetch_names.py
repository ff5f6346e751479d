"""Fetch the classic file of 32,033 names, an alternative to the bundled one.

    python data/fetch_names.py                         download it into data/classic_names.txt
    python data/fetch_names.py --from names.txt        take a copy that you have
    python data/fetch_names.py --from own.txt --any    use your own names: one per line, letters a-z only

A downloaded file and a given one pass the same check: the checksum or, with --any, the letters of each name. Nothing is
written unless the file passes. The environment variable NAMES then selects it, as the last line of output says.

Exit codes: 0 done, 2 an error, printed as one line on stderr.
"""

import argparse
import hashlib
import logging
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from build_names import DataError, check_names, write_atomically

URL = "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt"
CLASSIC_SHA256 = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"
CLASSIC_FILE = Path(__file__).resolve().with_name("classic_names.txt")
TIMEOUT_S = 30

Download = Callable[[str], bytes]
Transport = Callable[[str, str, object], None]


def download_with_pooch(url: str, transport: Transport | None = None) -> bytes:
    """Return the bytes behind the url, fetched by pooch without output.

    `transport(url, file, pooch)` is pooch's downloader; None means HTTP. pooch gets no checksum because `classic`
    checks given and downloaded files alike. Raises OSError if there is no response.
    """
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise DataError("the package pooch is not installed", sys.executable, "run: pip install pooch") from error
    pooch.get_logger().setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        fetched = pooch.retrieve(
            url,
            known_hash=None,
            fname="names.txt",
            path=folder,
            downloader=transport or pooch.HTTPDownloader(timeout=TIMEOUT_S),
        )
        return Path(fetched).read_bytes()


def reason(error: OSError) -> str:
    """Return in a few words why a download failed; the messages of requests fill several lines."""
    from requests import exceptions

    match error:
        case exceptions.Timeout():
            return f"no answer within {TIMEOUT_S} s"
        case exceptions.ProxyError():
            return "the proxy refused"
        case exceptions.SSLError():
            return "the secure connection failed"
        case exceptions.HTTPError(response=response) if response is not None:
            return f"the server answered {response.status_code}"
        case exceptions.ConnectionError():
            return "no connection"
        case _:
            return error.strerror or type(error).__name__


def classic(content: bytes, where: object, fix: str) -> bytes:
    """Return the content unchanged if it is exactly the classic file.

    Raises DataError with this `fix` if it is not.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != CLASSIC_SHA256:
        raise DataError(
            f"is not the classic names file (sha256 {found[:12]}..., expected {CLASSIC_SHA256[:12]}...)", where, fix
        )
    return content


def own(content: bytes, where: object) -> bytes:
    """Return names of any origin, without Windows line endings and byte order mark.

    Raises DataError if a line is not a name of the letters a-z.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n") + "\n"
        check_names(text)
    except UnicodeDecodeError as error:
        raise DataError(
            "is not a text file in UTF-8", where, "save it as UTF-8, one name per line, a-z only"
        ) from error
    except ValueError as error:
        raise DataError(str(error), where, "write one name per line, in lower case, without accents") from error
    return text.encode("ascii")


def fetch(source: Path | None, *, any_names: bool, download: Download) -> bytes:
    """Return the checked content of the given file or, without one, of the download.

    Raises DataError if there is none, or if it does not pass its check.
    """
    if source is None:
        if any_names:
            raise DataError("given without a file", "--any", "name your file: --from PATH --any")
        try:
            content = download(URL)
        except OSError as error:
            raise DataError(
                f"the download failed ({reason(error)})", URL, "try again, or use your own copy: --from PATH"
            ) from error
        return classic(content, URL, "this may be a login page; try again, or use your own copy: --from PATH")
    try:
        content = source.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", source, "correct the path after --from, or leave it out to download"
        ) from error
    if any_names:
        return own(content, source)
    return classic(content, source, "to use names of your own, add --any")


def main(argv: Sequence[str] | None = None, download: Download = download_with_pooch) -> int:
    parser = argparse.ArgumentParser(description="Fetch the classic names file, or use your own copy.")
    parser.add_argument("--from", dest="source", type=Path, metavar="PATH", help="a copy to use (default: download)")
    parser.add_argument("--any", action="store_true", help="with --from: your own names, checked for a-z only")
    parser.add_argument(
        "--out",
        type=Path,
        default=CLASSIC_FILE,
        metavar="PATH",
        help="(default: classic_names.txt next to this script)",
    )
    args = parser.parse_args(argv)
    try:
        content = fetch(args.source, any_names=args.any, download=download)
        write_atomically(args.out, content)
    except DataError as error:
        print(f"fetch_names: {error}", file=sys.stderr)
        return 2
    count = len(content.splitlines())
    # The full path, because make and Jupyter may be started in different folders.
    chosen = f"NAMES={shlex.quote(str(args.out.resolve()))}"
    print(f"{args.out}: {count:,} names; to use them: {chosen} make grade, or {chosen} before jupyter lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())

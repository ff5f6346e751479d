"""Fetch the classic names file of 32,033 names; the kit does not need it, some courses like it.

    python data/fetch_names.py                         download it into data/classic_names.txt
    python data/fetch_names.py --from names.txt        take a copy that you have
    python data/fetch_names.py --from own.txt --any    take names of your own: one a line, letters a-z only

A downloaded file and a given one pass the same gate: the checksum or, with --any, the letters of each name. Nothing is
written unless the file passes. The environment variable NAMES then chooses it, as the last line printed says.

Exit codes: 0 done, 2 an error, told in one line on stderr.
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
    """The bytes behind the url, fetched by pooch in silence.

    `transport(url, file, pooch)` is what pooch calls a downloader; None means HTTP. pooch is given no checksum, because
    `classic` checks it, for a given file as for a downloaded one. Raises OSError when there is no answer.
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
    """In a few words, why a download failed; what requests says of itself fills several lines."""
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
    """The content as it came, when it is the classic file to the byte.

    Raises DataError, with `fix` as the way out, when it is not.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != CLASSIC_SHA256:
        raise DataError(
            f"is not the classic names file (sha256 {found[:12]}..., expected {CLASSIC_SHA256[:12]}...)", where, fix
        )
    return content


def own(content: bytes, where: object) -> bytes:
    """Names of any origin, with the line ends and the start of a Windows editor made plain.

    Raises DataError when a line is not a name of the letters a-z.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n") + "\n"
        check_names(text)
    except UnicodeDecodeError as error:
        raise DataError("is not a text file in UTF-8", where, "save it as UTF-8, one name a line, a-z only") from error
    except ValueError as error:
        raise DataError(str(error), where, "write one name a line, in lower case, without accents") from error
    return text.encode("ascii")


def fetch(source: Path | None, *, any_names: bool, download: Download) -> bytes:
    """The checked content of the given file or, without one, of the download.

    Raises DataError when there is none, or when it does not pass its check.
    """
    if source is None:
        if any_names:
            raise DataError("given without a file", "--any", "name your file: --from PATH --any")
        try:
            content = download(URL)
        except OSError as error:
            raise DataError(
                f"the download failed ({reason(error)})", URL, "try again, or give a copy that you have: --from PATH"
            ) from error
        return classic(
            content, URL, "a login page may have answered; try again, or give a copy that you have: --from PATH"
        )
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
    parser = argparse.ArgumentParser(description="Fetch the classic names file, or take one that you have.")
    parser.add_argument("--from", dest="source", type=Path, metavar="PATH", help="a copy to take (default: download)")
    parser.add_argument("--any", action="store_true", help="with --from: names of your own, checked for a-z only")
    parser.add_argument(
        "--out", type=Path, default=CLASSIC_FILE, metavar="PATH", help="(default: classic_names.txt beside this script)"
    )
    args = parser.parse_args(argv)
    try:
        content = fetch(args.source, any_names=args.any, download=download)
        write_atomically(args.out, content)
    except DataError as error:
        print(f"fetch_names: {error}", file=sys.stderr)
        return 2
    count = len(content.splitlines())
    # The whole path, because make and Jupyter may be started in different folders.
    chosen = f"NAMES={shlex.quote(str(args.out.resolve()))}"
    print(f"{args.out}: {count:,} names; to use them: {chosen} make grade, or {chosen} before jupyter lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The functions in the first cells of a notebook's edition for Colab: they run on the student's computer.

Their text is copied into the notebook (`colab.py`), so each imports what it needs itself.
"""


def put_files_here(packed: str) -> None:
    """Write the packed files next to this notebook. A file that is already there is left as it is."""
    import base64
    import bz2
    import io
    import tarfile
    from pathlib import Path

    new, other = 0, []
    with tarfile.open(fileobj=io.BytesIO(bz2.decompress(base64.b64decode(packed)))) as archive:
        for member in archive:
            content, path = archive.extractfile(member), Path(member.name)
            data = content.read() if content else b""
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(data)
                new += 1
            except FileExistsError:
                other += [member.name] if not path.is_file() or path.read_bytes() != data else []
    print(f"{new} files written to {Path.cwd()}" if new else f"All files of the assignment are in {Path.cwd()}")
    if other:
        print(f"These differ from the assignment's own and were left as they are: {', '.join(other)}")


def install_missing(packages: dict[str, str]) -> None:
    """Install the packages that this computer does not have; those it has are left as they are.

    packages: what pip should install, by the name of the package
    """
    import subprocess
    import sys
    from importlib import metadata

    installed = {(one.metadata["Name"] or "").lower().replace("_", "-") for one in metadata.distributions()}
    missing = [wanted for name, wanted in packages.items() if name not in installed]
    if not missing:
        print("All packages are installed.")
        return
    print(f"Installing {', '.join(missing)} …")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *missing], capture_output=True, text=True, check=False
    )
    last = (done.stderr.strip() or "no message").splitlines()[-1]
    print(f"They could not be installed: {last}" if done.returncode else "Installed.")

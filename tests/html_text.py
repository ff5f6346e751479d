"""A page as a browser's parser sees it: what of it is text, and what of it could do something."""

from html.parser import HTMLParser

SAFE_STARTS = ("../feedback/", "question-", "index.html", "similarity.html", "#", "data:,")


class Page(HTMLParser):
    """A parsed page. text: everything between tags; active: whatever could run, load or lead away."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.active: list[str] = []
        self._raw = ""
        self.feed("".join(html))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._raw = tag if tag in ("script", "style") else self._raw
        if tag in ("img", "iframe", "object", "embed", "form", "base", "video", "audio"):
            self.active.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "srcdoc", "style", "action"):
                self.active.append(f"{tag} {name}")
            if name == "href" and not (value or "").startswith(SAFE_STARTS):
                self.active.append(f"{tag} {value}")

    def handle_endtag(self, tag: str) -> None:
        self._raw = "" if tag == self._raw else self._raw

    def handle_data(self, data: str) -> None:
        if self._raw == "script":
            self.active.append(data)
        elif not self._raw:
            self.text += data

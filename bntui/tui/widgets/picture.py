"""Lines of text in a fixed place."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Picture(Widget):
    """Shows a text line for line; only the lines that are other than before are rendered and sent to the terminal.

    A Static would lay the text out anew for each change, which takes longer than to draw a chart.
    """

    ALLOW_SELECT = False

    _text = Text("")
    _lines: tuple[Text, ...] = ()
    _strips: tuple[Strip, ...] = ()
    _style = Style.null()

    def show(self, text: Text) -> None:
        """Show a text; what does not fit is cut."""
        self._text, self._style = text, self.rich_style
        width = self.size.width
        lines = tuple(text.split("\n", allow_blank=True))
        strips = []
        for y, line in enumerate(lines):
            if y < len(self._lines) and line == self._lines[y] and line.spans == self._lines[y].spans:
                strips.append(self._strips[y])
                continue
            strip = Strip(line.render(self.app.console, end="")).adjust_cell_length(width).apply_style(self._style)
            strips.append(strip)
            self.refresh(Region(0, y, width, 1))
        if len(lines) < len(self._lines):
            self.refresh(Region(0, len(lines), width, len(self._lines) - len(lines)))
        self._lines, self._strips = lines, tuple(strips)

    def on_resize(self) -> None:
        """Cut the lines anew."""
        self._render_all()

    def notify_style_update(self) -> None:
        """Render all of it again if the colours changed, as with the theme."""
        super().notify_style_update()
        if self._lines and self._style != self.rich_style:
            self._render_all()

    def _render_all(self) -> None:
        self._lines = ()
        self.show(self._text)

    def render_line(self, y: int) -> Strip:
        """Return a line of the text."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

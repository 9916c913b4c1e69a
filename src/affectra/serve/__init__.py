"""Server: a model behind HTTP and WebSocket, with a web page, on this machine alone unless one says otherwise.

Takes uploads and live sound; gives the answers of `affectra.predict` as JSON, within limits of size, time and number.
Open `app.py` first; `limits.py` has the limits.
"""

from affectra.errors import require_extra

require_extra("fastapi", "serve", "the server")
require_extra("uvicorn", "serve", "the server")

from affectra.serve.app import create_app, serve  # noqa: E402, what they import may be missing
from affectra.serve.limits import Limits  # noqa: E402

__all__ = ["Limits", "create_app", "serve"]

"""The yardstick: FastAPI behind uvicorn as the manager runs it, with one route that answers the bytes of a file.

`python -m bench.support.bare_fastapi PORT FILE`
"""

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response


def _application(body: bytes) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def same() -> Response:
        return Response(body, media_type="application/json")

    return app


if __name__ == "__main__":
    content = Path(sys.argv[2]).read_bytes()
    uvicorn.run(
        _application(content), port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False
    )

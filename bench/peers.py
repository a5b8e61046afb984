"""Other servers around the same engine, as their own guides write them: `bench.latency --peers`.

python -m bench.peers fastapi|gradio PORT FOLDER

FOLDER is where they are installed; what this project has itself is taken from there.
"""

import base64
import io
import sys
import threading
from typing import Any

import torch
from PIL import Image

from inference.engine import Moondream


def main() -> None:
    sys.path.append(sys.argv[3])
    torch.set_num_threads(1)
    model = Moondream.from_pretrained("inference/weights/embedded")
    model.warm_up()
    one_at_a_time = threading.Lock()

    def query(image_url: str, question: str) -> str:
        data = base64.b64decode(image_url.partition(",")[2])
        image = Image.open(io.BytesIO(data)).convert("RGB")
        with one_at_a_time:
            return str(model.query(image, question)["answer"])

    serve = {"fastapi": fastapi, "gradio": gradio}[sys.argv[1]]
    serve(query, int(sys.argv[2]))


def fastapi(query: Any, port: int) -> None:
    """A plain function is run in FastAPI's pool of threads."""
    import uvicorn
    from fastapi import Body, FastAPI

    app = FastAPI()

    @app.post("/query")
    def answer(image_url: str = Body(), question: str = Body()) -> dict[str, str]:
        return {"answer": query(image_url, question)}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def gradio(query: Any, port: int) -> None:
    """An interface with its queue."""
    import gradio

    interface = gradio.Interface(query, ["text", "text"], "text", api_name="query")
    interface.queue(default_concurrency_limit=1).launch(
        server_name="127.0.0.1", server_port=port, quiet=True
    )


if __name__ == "__main__":
    main()

"""A simple service around PyTorch, with FastAPI and uvicorn.

python torch_service.py PORT
"""

import sys

import orjson
import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Response

torch.set_num_threads(1)
app = FastAPI()


@app.get("/gain")
def gain(nonlinearity: str, param: float | None = None):
    try:
        return {"nonlinearity": nonlinearity, "gain": torch.nn.init.calculate_gain(nonlinearity, param)}
    except ValueError as error:
        raise HTTPException(400, str(error)) from error


@app.get("/init")
def init(method: str, shape: str, seed: int = 0, format: str = "json"):
    if method not in ("uniform", "normal"):
        raise HTTPException(400, "uniform or normal")
    tensor = torch.empty([int(size) for size in shape.split(",")])
    torch.manual_seed(seed)
    getattr(torch.nn.init, method + "_")(tensor)
    if format == "raw":
        return Response(tensor.numpy().tobytes(), media_type="application/octet-stream")
    document = {"shape": list(tensor.shape), "data": tensor.numpy()}
    return Response(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)

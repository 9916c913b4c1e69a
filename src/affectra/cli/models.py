"""Commands on models: serve and export."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from affectra.cli.console import app, load_model


@app.command
def serve(*, model: str = "affectra-base", host: str = "127.0.0.1", port: int = 8000) -> None:
    """Open a web page, an HTTP and a WebSocket server that recognise emotion, on this machine alone by default.

    Parameters
    ----------
    model
        A shipped model by name, a run directory, a fold of one, or an exported model.
    host
        Address to bind to; beyond 127.0.0.1 anyone on the network can use it, there is no authentication.
    port
        To listen on; 0 takes any that is free.
    """
    from affectra.serve import serve as serve_model

    serve_model(load_model(model), host, port)


@app.command
def export(
    run: Path,
    /,
    *,
    out: Path,
    calibrate_on: Annotated[list[Path], Parameter(negative="")] = [],  # noqa: B006, cyclopts reads the default
    licence: str | None = None,
) -> None:
    """Write a run's model as ONNX with its preprocessing, calibration and model card, to use without torch.

    Parameters
    ----------
    run
        A run directory, whose folds are averaged, or one fold of it.
    out
        The new folder.
    calibrate_on
        Runs of the same recipe under other protocols, e.g. loco: the calibration is fitted on theirs and this run's
        predictions on what their models were not trained on.
    licence
        What the weights may be used for, shown in the card and wherever the model is named.
    """
    from affectra.predict.export import export as export_model

    print(export_model(run, out, licence=licence, calibrate_on=calibrate_on))

"""Prediction: emotion in anyone's recording, from a checkpoint alone.

Takes a model's name or folder, and recordings, arrays or live sound; gives calibrated probabilities with flags, for
whole recordings, windows or turns, and writes them as tables, TextGrids and pictures. It needs no corpus, and imports
neither splits nor training. Open `model.py` first; `windows.py` cuts long recordings, `stream.py` answers live,
`export.py` writes ONNX.
"""

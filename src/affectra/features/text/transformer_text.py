"""Pretrained text encoders (BERT, RoBERTa and their kin) by local directory or hub name: frozen or fine-tuned."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from affectra.errors import ConfigError, require_extra
from affectra.files import write_json
from affectra.text.hub import read_model

WEIGHTS_ELSEWHERE = "affectra.json"  # beside a configuration whose weights the checkpoint has
UNUSED = "pooler"  # of the whole text, trained for something else


class TransformerText(nn.Module):
    """The last hidden layers of a pretrained encoder, one behind the other: (Dutta & Ganapathy 2022, text: four).

    The marks that the encoder puts around a text ([CLS] and [SEP]) stay, since they were trained to hold the meaning
    as a whole. A text longer than the encoder's positions is cut behind, which the log (stderr) says.

    Frozen, the encoder is no part of the recogniser: predicting needs the same directory or hub name again. Fine-tuned,
    its weights are the recogniser's, and what else it needs `write_assets` puts beside them. Weights are read from
    safetensors alone, and no code of a hub is run.

    Args:
        model: a directory or a name on the Hugging Face hub.
        n_layers: how many layers, counted from the last one.
        fine_tune: train the encoder with the network; then frames are ids, and the encoder runs per batch.

    Shape:
        - frames: frozen (token, n_layers * hidden), float16; fine-tuned (token, 1), int32, id + 1
        - output: (batch, n_layers * hidden, token), 0 where padded

    Raises:
        ConfigError: transformers is not installed, no such model, or it is not an encoder with so many layers.
    """

    modality = "text"
    sample_rate, window_length, hop_length = 1000, 1, 1  # a token counts as a millisecond

    def __init__(self, *, model: str, n_layers: int = 4, fine_tune: bool = False) -> None:
        super().__init__()
        require_extra("transformers", "text", "the front end transformer-text")
        self.tokenizer, encoder = _load(model, fine_tune)
        n_offered = encoder.config.num_hidden_layers
        if not 1 <= n_layers <= n_offered:
            raise ConfigError(f"transformer-text: {model} has {n_offered} layers, found n_layers={n_layers}")
        self.n_layers, self.fine_tune = n_layers, fine_tune
        self.n_features = n_layers * encoder.config.hidden_size
        self.is_framewise = not fine_tune  # ids have no mean
        self.n_positions = _n_positions(encoder, self.tokenizer)
        self._frozen: tuple[Any, ...] = ()  # a tuple hides it from the module's parameters
        if fine_tune:
            self.encoder = encoder
        else:
            self._frozen = (encoder.requires_grad_(False).eval(),)

    @cached_property
    def storage(self) -> dict[str, str]:
        """Facts that the frames depend on beyond the options: the model may change under the same name."""
        if self.fine_tune:
            return {"dtype": "int32", "tokenizer": _digest_tokenizer(self.tokenizer)}
        return {
            "dtype": "float16",
            "tokenizer": _digest_tokenizer(self.tokenizer),
            "weights": _digest_weights(self._frozen[0]),
        }

    def n_frames(self, n_samples: int) -> int:
        """Tokens of so many tokens."""
        return n_samples

    @torch.no_grad()
    def frames(self, text: str) -> Tensor:
        """Cached frames of a text: token ids if fine-tuned, else states; at least the encoder's special tokens."""
        ids = torch.tensor(self._ids(text))[None]
        if self.fine_tune:
            return (ids[0, :, None] + 1).int()
        return self._layers(self._frozen[0], ids, torch.ones_like(ids))[0]

    def forward(self, segments: Tensor) -> Tensor:
        """Frames (batch, token, ...) as (batch, n_layers * hidden, token)."""
        if not self.fine_tune:
            return segments.transpose(1, 2)
        ids = segments[:, : self.n_positions, 0].long() - 1  # what is behind has no position and is padding
        is_token = ids >= 0
        ids = ids.masked_fill(~is_token, self.encoder.config.pad_token_id or 0)
        states = self._layers(self.encoder, ids, is_token.long()) * is_token[..., None]
        return pad(states.transpose(1, 2), (0, segments.shape[1] - ids.shape[1]))

    def _layers(self, encoder: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """The last layers' states side by side: (batch, token, n_layers * hidden), the last layer's at the end."""
        states = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        return torch.cat(states[-self.n_layers :], dim=-1)

    def _ids(self, text: str) -> list[int]:
        n_tokens = len(self.tokenizer.encode(text, verbose=False))
        if n_tokens > self.n_positions:
            logging.getLogger(__name__).warning(
                "transformer-text: a text of %d tokens is cut to the encoder's %d: %.40s...",
                n_tokens, self.n_positions, text,
            )  # fmt: skip
        ids: list[int] = self.tokenizer.encode(text, truncation=True, max_length=self.n_positions)
        return ids

    def write_assets(self, folder: Path) -> dict[str, str]:
        """Put beside a checkpoint what rebuilds this front end without the hub.

        Args:
            folder: to write to; made if need be.

        Returns:
            Options to be replaced when it is rebuilt, as names in `folder`. Frozen encoders are not copied, since all
            folds and runs share them: no files and no options.
        """
        if not self.fine_tune:
            return {}
        self.encoder.config.save_pretrained(folder / "encoder")
        self.tokenizer.save_pretrained(folder / "encoder")
        write_json(folder / "encoder" / WEIGHTS_ELSEWHERE, {"weights": "in the checkpoint"})
        return {"model": "encoder"}


def _load(model: str, fine_tune: bool) -> tuple[Any, Any]:
    """Tokenizer and encoder; the encoder without weights where they come from a checkpoint."""
    is_ours = (Path(model) / WEIGHTS_ELSEWHERE).is_file()
    if is_ours and not fine_tune:
        raise ConfigError(f"transformer-text: the weights of {model} are in its checkpoint; needs fine_tune: true")
    try:
        tokenizer, encoder, missing = read_model(
            model, lambda is_local: _read(model, is_local, with_weights=not is_ours)
        )
    except (OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"transformer-text: {model!r} is neither a directory nor a hub name with a model in safetensors that can "
            f"be read here: {reason}"
        ) from error
    if missing:
        raise ConfigError(f"transformer-text: {model} lacks {len(missing)} of its weights, such as {missing[0]}")
    if not tokenizer.num_special_tokens_to_add():
        raise ConfigError(f"transformer-text: {model} puts no marks around a text; expected an encoder such as BERT")
    return tokenizer, _without_pooler(encoder)


def _read(model: str, is_local: bool, *, with_weights: bool) -> tuple[Any, Any, list[str]]:
    """Tokenizer, encoder, and the weights that it lacks of those asked for; the hub is asked unless `is_local`."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    given: dict[str, Any] = {"local_files_only": is_local, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(model, **given)
    if config.is_encoder_decoder or not hasattr(config, "num_hidden_layers"):
        raise ConfigError(f"transformer-text: {model} is a {config.model_type}; expected an encoder such as BERT")
    tokenizer = AutoTokenizer.from_pretrained(model, **given)
    if not with_weights:
        return tokenizer, AutoModel.from_config(config), []  # type: ignore[no-untyped-call]
    with _quiet():
        encoder, found = AutoModel.from_pretrained(
            model, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **given
        )
    return tokenizer, encoder, sorted(name for name in found["missing_keys"] if not name.startswith(UNUSED))


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no table of keys: heads for other tasks are left out on purpose, what lacks is an error."""
    from transformers.utils import logging as transformers_log

    messages: Any = transformers_log  # without types
    level, has_bar = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if has_bar:
            messages.enable_progress_bar()


def _without_pooler(encoder: Any) -> Any:
    if getattr(encoder, UNUSED, None) is not None:
        setattr(encoder, UNUSED, None)
    return encoder


def _n_positions(encoder: Any, tokenizer: Any) -> int:
    """Tokens that have a position; RoBERTa's begin behind the one of padding."""
    positions = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    learnt = encoder.config.max_position_embeddings - (0 if padding is None else padding + 1)
    return int(min(learnt, tokenizer.model_max_length))


def _digest_tokenizer(tokenizer: Any) -> str:
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def _digest_weights(encoder: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()

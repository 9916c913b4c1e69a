"""Recognisers, forced alignment and stored transcripts, on the embedded corpus and on tiny random networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectra.audio import read
from affectra.corpora import synthetic
from affectra.corpora.manifest import Corpus
from affectra.errors import AudioError, ConfigError
from affectra.features.extract import AudioSpan
from affectra.recipes.config import load_recipe
from affectra.text.asr.hugging_face import HuggingFaceAsr
from affectra.text.asr.pocketsphinx import PocketSphinx
from affectra.text.asr.pronunciation import UNKNOWN, pronounce
from affectra.text.asr.transcripts import RECOGNIZERS, transcribe_files
from affectra.text.asr.word_errors import corpus_word_errors, word_errors
from affectra.text.asr.words import Recognizer, Transcript, Word, spoken_words

RATE = 16_000
N_TURNS = 5


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return synthetic.read(synthetic.render())


@pytest.fixture(scope="module")
def turns(corpus: Corpus) -> list[tuple[str, str, np.ndarray]]:
    """Utterance, text and samples of the first English turns."""
    rows = corpus.manifest[corpus.manifest["language"].str.startswith("en")].head(N_TURNS)
    return [(row.utterance, row.text, read(corpus.path(row), RATE).samples) for row in rows.itertuples()]


@pytest.fixture(scope="module")
def sphinx() -> PocketSphinx:
    return PocketSphinx()


@pytest.fixture(scope="module")
def heard(sphinx: PocketSphinx, turns: list[tuple[str, str, np.ndarray]]) -> list[Transcript]:
    return [sphinx.transcribe(samples, RATE) for _, _, samples in turns]


def test_synthetic_english_is_half_understood(heard, turns) -> None:
    errors = corpus_word_errors((text, found.text) for (_, text, _), found in zip(turns, heard, strict=True))
    print(f"word error rate of PocketSphinx on {N_TURNS} turns: {errors.rate:.2f} ({errors})")
    assert errors.rate < 0.7 < corpus_word_errors((text, heard[0].text) for _, text, _ in turns[1:]).rate


def test_words_have_times_in_order_and_no_pauses_or_numbers_of_pronunciations(heard, turns) -> None:
    for (_, _, samples), found in zip(turns, heard, strict=True):
        assert found.text == " ".join(word.word for word in found.words) and len(found.words) > 4
        assert found.text.replace("'", "").replace(" ", "").isalpha()
        bounds = [bound for word in found.words for bound in (word.start_s, word.end_s)]
        assert bounds == sorted(bounds) and bounds[0] >= 0 and bounds[-1] <= len(samples) / RATE


def test_what_was_heard_before_changes_nothing(sphinx, heard, turns) -> None:
    sphinx.transcribe(0.3 * np.random.default_rng(0).standard_normal(RATE), RATE)
    sphinx.align(turns[0][2], RATE, turns[0][1])
    again = [sphinx.transcribe(samples, RATE) for _, _, samples in turns[:3][::-1]]
    assert again[::-1] == heard[:3]
    assert PocketSphinx().transcribe(turns[2][2], RATE) == heard[2]


def test_a_stereo_recording_at_another_rate_is_resampled(sphinx, turns) -> None:
    _, text, samples = turns[0]
    twice = np.repeat(np.stack([samples, samples], axis=1), 3, axis=0)
    assert word_errors(text, sphinx.transcribe(twice, 3 * RATE).text).rate < 0.7


def test_silence_and_next_to_nothing_have_no_words(sphinx, turns) -> None:
    assert sphinx.transcribe(np.zeros(2 * RATE, np.float32), RATE) == Transcript()
    for length in (1, 100, 800):
        assert sphinx.transcribe(turns[0][2][4000 : 4000 + length], RATE) == Transcript()
    with pytest.raises(AudioError, match="not empty"):
        sphinx.transcribe(np.zeros(0, np.float32), RATE)


def test_alignment_finds_words_where_the_synthesiser_put_them(sphinx, turns, corpus) -> None:
    words = corpus.tables["words"].set_index("utterance")
    misses = []
    for utterance, text, samples in turns:
        found = sphinx.align(samples, RATE, text)
        assert tuple(word.word for word in found) == spoken_words(text)
        truth = words.loc[utterance]
        misses += [abs(word.start_s - start) for word, start in zip(found, truth["start"], strict=True)]
        misses += [abs(word.end_s - end) for word, end in zip(found, truth["end"], strict=True)]
    print(f"median of {len(misses)} borders {np.median(misses):.3f} s, 90 % {np.quantile(misses, 0.9):.3f} s")
    assert np.median(misses) < 0.03 and np.quantile(misses, 0.9) < 0.15


def test_words_that_no_dictionary_has_are_aligned_by_their_letters(sphinx, turns, corpus) -> None:
    _, text, samples = turns[0]
    known = sphinx.align(samples, RATE, text)
    assert "lovely" in text and sphinx.align(samples, RATE, "") == () == sphinx.align(samples, RATE, "?!")
    found = sphinx.align(samples, RATE, text.replace("lovely", "Lavlysch"))
    assert [word.word for word in found] == [word.word.replace("lovely", "lavlysch") for word in known]
    np.testing.assert_allclose([word.start_s for word in found], [word.start_s for word in known], atol=0.1)
    assert len(sphinx.align(samples, RATE, text.replace("lovely", "我"))) == len(known)
    assert sphinx.align(samples, RATE, text) == known  # words that were added change no other text

    row = corpus.manifest[corpus.manifest["language"] == "de"].iloc[0]
    start = corpus.tables["words"].set_index("utterance").loc[row.utterance]["start"]
    german = sphinx.align(read(corpus.path(row), RATE).samples, RATE, row.text)
    assert np.median(np.abs(np.array([word.start_s for word in german]) - start)) < 0.05


def test_a_text_that_does_not_fit_into_the_audio_is_refused(sphinx, turns) -> None:
    with pytest.raises(AudioError, match=r"'The party .* 0\.30 s of audio; expected that all of it is spoken there"):
        sphinx.align(turns[0][2][:4800], RATE, turns[0][1])
    with pytest.raises(AudioError, match="cannot be found"):
        sphinx.align(turns[0][2], RATE, "extraordinary accommodations notwithstanding " * 8)


def test_pronunciations_follow_the_letters() -> None:
    assert pronounce("Schtroumpf") == "SH T R AW M P F"
    assert pronounce("Ålesund") == "AA L EH S UH N D" == pronounce("allesund")
    assert pronounce("42") == "F AO R T UW" and pronounce("我们") == UNKNOWN


def write_wav2vec2(folder: Path, seed: int = 0) -> None:
    """A tiny random CTC recogniser in the layout of the hub."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    folder.mkdir(exist_ok=True)
    vocabulary = {unit: place for place, unit in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcd"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    torch.manual_seed(seed)
    config = Wav2Vec2Config(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, pad_token_id=0,
    )  # fmt: skip
    network = Wav2Vec2ForCTC(config)
    with torch.no_grad():
        network.lm_head.weight *= 30  # so that different frames have different units
        network.lm_head.bias[1:4] = -1e4
    network.save_pretrained(folder)


def write_whisper(folder: Path) -> None:
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    special = ["<|endoftext|>", "<|startoftranscript|>", "<|startofprev|>", "<|nocaptions|>", "<|notimestamps|>"]
    ids = {unit: place for place, unit in enumerate([*"abcdefgh", "Ġ", *special])}
    WhisperTokenizer(vocab=ids, merges=[], additional_special_tokens=special[1:]).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
    torch.manual_seed(2)
    end = ids["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=len(ids) + 1501, num_mel_bins=8, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        decoder_start_token_id=ids["<|startoftranscript|>"], pad_token_id=end, bos_token_id=end, eos_token_id=end,
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    network = WhisperForConditionalGeneration(config)
    settings = network.generation_config
    settings._from_model_config = False  # else it is made anew when it is loaded
    settings.no_timestamps_token_id, settings.prev_sot_token_id = ids["<|notimestamps|>"], ids["<|startofprev|>"]
    settings.is_multilingual, settings.return_timestamps = False, False
    settings.suppress_tokens = [place for place in range(len(ids) + 1501) if place > 8 and place != end]
    network.save_pretrained(folder)


def test_a_ctc_model_tells_words_and_their_times(tmp_path: Path, turns) -> None:
    write_wav2vec2(tmp_path / "asr")
    asr = HuggingFaceAsr(model=str(tmp_path / "asr"))
    samples = turns[0][2]
    found = asr.transcribe(samples, RATE)
    assert found.words and set(found.text) <= set("abcd ")
    assert found.text == " ".join(word.word for word in found.words)
    bounds = [bound for word in found.words for bound in (word.start_s, word.end_s)]
    assert bounds == sorted(bounds) and bounds[-1] <= len(samples) / RATE
    assert asr.transcribe(turns[1][2], RATE) != found == asr.transcribe(samples, RATE)
    assert asr.transcribe(np.zeros(RATE, np.float32), RATE) == Transcript()
    assert all(word.end_s <= 0.05 for word in asr.transcribe(samples[4000:4800], RATE).words)
    assert asr.transcribe(samples[4000:4001], RATE).text in ("", *"abcd")


def test_long_audio_is_heard_in_parts_that_are_joined(tmp_path: Path, turns) -> None:
    write_wav2vec2(tmp_path / "asr")
    asr = HuggingFaceAsr(model=str(tmp_path / "asr"))
    samples = np.tile(turns[0][2], 15)  # 40 s
    found = asr.transcribe(samples, RATE)
    assert found.words[0].start_s < 1 and len(samples) / RATE - 1 < found.words[-1].end_s <= len(samples) / RATE


def test_another_network_under_the_same_name_is_another_version(tmp_path: Path) -> None:
    write_wav2vec2(tmp_path / "asr")
    versions = [HuggingFaceAsr(model=str(tmp_path / "asr")).version for _ in range(2)]
    write_wav2vec2(tmp_path / "asr", seed=1)
    assert len({*versions, HuggingFaceAsr(model=str(tmp_path / "asr")).version}) == 2


def test_a_whisper_like_model_gives_text_without_times(tmp_path: Path, turns) -> None:
    write_whisper(tmp_path)
    asr: Recognizer = RECOGNIZERS.build("hugging-face", {"model": str(tmp_path)})
    found = asr.transcribe(turns[0][2], RATE)
    assert found.text and set(found.text) <= set("abcdefgh ") and found.words == ()
    assert asr.transcribe(np.zeros(RATE, np.float32), RATE) == Transcript()


def test_what_is_no_recogniser_is_refused_by_name(tmp_path: Path) -> None:
    from transformers import BertConfig, Wav2Vec2Model

    with pytest.raises(ConfigError, match="'nowhere/at all' is neither a directory nor a hub name"):
        HuggingFaceAsr(model="nowhere/at all")
    BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(ConfigError, match=r"bert is a bert; expected one like wav2vec 2\.0 or Whisper"):
        HuggingFaceAsr(model=str(tmp_path / "bert"))
    write_wav2vec2(tmp_path / "asr")
    Wav2Vec2Model.from_pretrained(tmp_path / "asr").save_pretrained(tmp_path / "asr")  # leaves the head out
    with pytest.raises(ConfigError, match=r"lacks 2 of its weights, such as lm_head\.bias"):
        HuggingFaceAsr(model=str(tmp_path / "asr"))


@pytest.fixture
def stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[AudioSpan]:
    """Four recordings, of which the third is none, and a stretch of the first; a cache of their own."""
    monkeypatch.setenv("AFFECTRA_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name in ("one", "two", "four"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(RATE), RATE)
    (tmp_path / "copy.wav").write_bytes((tmp_path / "one.wav").read_bytes())
    (tmp_path / "three.wav").write_text("no audio")
    names = ("one", "two", "three", "four", "missing", "copy")
    return [*(AudioSpan(tmp_path / f"{name}.wav") for name in names), AudioSpan(tmp_path / "one.wav", 0.25, 0.75)]


class Counting:
    """Hears how many samples there are, and keeps count of how often it was asked."""

    version = "1"

    def __init__(self, *, marks: str = "") -> None:
        self.marks = marks

    def transcribe(self, samples: np.ndarray, sample_rate: int) -> Transcript:
        HEARD.append(len(samples))
        if len(HEARD) == STOP_AT[0]:
            raise KeyboardInterrupt
        return Transcript(f"{len(samples)}{self.marks}", (Word("größe", 0.1, 0.25),))


HEARD: list[int] = []
STOP_AT = [0]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    HEARD.clear()
    STOP_AT[0] = 0
    monkeypatch.setitem(RECOGNIZERS._entries, "counting", Counting)


def test_a_bad_recording_is_named_and_does_not_stop_the_rest(counting, stretches) -> None:
    done: list[int] = []
    found = transcribe_files(stretches, "counting", {}, done.append)
    texts = [None if transcript is None else transcript.text for transcript in found.transcripts]
    assert texts == ["16000", "16000", None, "16000", None, "16000", "8000"]
    assert list(found.refused) == [2, 4]
    assert "three.wav: is not audio" in found.refused[2] and "missing.wav: cannot be read" in found.refused[4]
    assert done[-1] == 7 and done == sorted(set(done))


def test_each_stretch_is_recognised_once(counting, stretches, monkeypatch) -> None:
    first = transcribe_files(stretches, "counting", {})
    assert len(HEARD) == 4  # the copy is not heard again
    assert transcribe_files(stretches, "counting", {}) == first and len(HEARD) == 4
    assert transcribe_files(stretches, "counting", {"marks": "!"}).transcripts[0].text == "16000!" and len(HEARD) == 8
    monkeypatch.setattr(Counting, "version", "2")
    transcribe_files(stretches, "counting", {})
    assert len(HEARD) == 12


def test_interrupted_work_goes_on_where_it_was(counting, stretches, tmp_path) -> None:
    STOP_AT[0] = 3
    with pytest.raises(KeyboardInterrupt):
        transcribe_files(stretches, "counting", {})
    STOP_AT[0] = 0
    stored = sorted((tmp_path / "cache").rglob("*.json"))
    assert len(stored) == 2
    stored[0].write_text('{"text": "cut o')  # a full disk
    found = transcribe_files(stretches, "counting", {})
    assert len(HEARD) == 3 + 3
    assert found.transcripts[0] == Transcript("16000", (Word("größe", 0.1, 0.25),))
    assert found == transcribe_files(stretches, "counting", {})


def test_processes_give_what_one_process_gives(heard, turns, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AFFECTRA_CACHE", str(tmp_path / "cache"))
    chosen = []
    for utterance, _, samples in turns[:2]:
        soundfile.write(tmp_path / f"{utterance}.wav", samples, RATE, subtype="FLOAT")
        chosen.append(AudioSpan(tmp_path / f"{utterance}.wav"))
    (tmp_path / "bad.wav").write_text("no audio")
    found = transcribe_files([*chosen, AudioSpan(tmp_path / "bad.wav")], "pocketsphinx", {}, n_processes=2)
    assert found.transcripts == (*heard[:2], None) and "bad.wav: is not audio" in found.refused[2]


def test_an_unknown_recogniser_or_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pocketsphinx'"):
        transcribe_files([], "pocketsfinx", {})
    with pytest.raises(ConfigError, match="takes no option language"):
        transcribe_files([], "pocketsphinx", {"language": "de"})
    with pytest.raises(ConfigError, match="option\\(s\\) missing: model"):
        transcribe_files([], "hugging-face", {})


def test_words_with_times_are_not_filled_in_one_by_one() -> None:
    missing = {"source": {"name": "pocketsphinx"}, "used": "missing"}
    assert load_recipe("dutta2022-cpu", {"transcripts": missing}).recipe.transcripts.used == "missing"
    with pytest.raises(ConfigError, match=r"words\.transcripts: .*used is test or always"):
        load_recipe("tzirakis2021-cpu", {"words.transcripts": missing})

"""Limits on what a client may ask of the server: sizes, durations, how many at once."""

from dataclasses import dataclass

LIVE_RATES = (8_000, 192_000)  # Hz, from telephones to studios


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one client from taking the machine, all of them ours.

    Attributes:
        upload_bytes: of a request with a recording; an hour of stereo at 44.1 kHz and 16 bit is 635 MB, as mp3 60 MB.
        upload_s: to send it, in all.
        upload_idle_s: without a byte of it; also for a client to say what it wants, and to take what waits for it.
        n_uploads: received at a time.
        audio_s: length of a recording.
        decode_s: to decode it; what takes longer is stopped.
        work_s: for all of it, from when its turn comes; what takes longer is given up.
        n_workers: recordings worked on at a time; as many runs over windows of live streams besides.
        n_waiting: recordings that wait for a worker; the next one is asked to come again.
        n_streams: live streams at a time.
        stream_s: length of a live stream, both of its audio and by the clock.
        stream_idle_s: without a message, and without reading an answer.
        ahead_s: audio sent faster than it can be spoken; beyond it the server reads no further.
        message_bytes: of a live stream's message.
        messages_per_s: of a live stream, on average; a browser sends 20 to 50.
        n_connections: of any kind.
        shutdown_s: for what is under way when the server is asked to stop.
    """

    upload_bytes: int = 256 << 20
    upload_s: float = 120.0
    upload_idle_s: float = 15.0
    n_uploads: int = 8
    audio_s: float = 3600.0
    decode_s: float = 60.0
    work_s: float = 300.0
    n_workers: int = 2
    n_waiting: int = 8
    n_streams: int = 64
    stream_s: float = 3600.0
    stream_idle_s: float = 15.0
    ahead_s: float = 5.0
    message_bytes: int = 1 << 18
    messages_per_s: float = 400.0
    n_connections: int = 512
    shutdown_s: float = 10.0

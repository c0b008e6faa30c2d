"""Read the packets of a run, one at a time."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ami_engine.trace.trace_logger import TRACES
from decision_schema.errors import TraceError
from decision_schema.packet_v2 import PacketV2


def read_packets(run_dir: str | Path) -> Iterator[PacketV2]:
    """Yield the packets of a run in order, as they are stored; a torn last line is left out.

    Raises:
        TraceError: It is no run folder, or a line is no packet.
    """
    file = Path(run_dir) / TRACES
    decode = msgspec.json.Decoder().decode
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    raw = decode(line)
                    raw.pop("h", None)
                    yield PacketV2.from_dict(raw)
                except (msgspec.DecodeError, ValueError, AttributeError) as error:
                    raise TraceError(f"{file}: line {number} is no packet: {error}") from None
    except OSError as error:
        raise TraceError(f"{file} cannot be read: {error.strerror}") from None

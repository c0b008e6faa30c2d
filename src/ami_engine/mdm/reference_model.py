"""The explainable reference model: quote around the fair value when half the spread pays for the risk."""

from ami_engine.kernels import reference
from ami_engine.mdm.kernel_model import KernelModel

propose_reference = KernelModel(
    reference.propose_reference, reasons=reference.REASONS, detail="edge {:.2f} ticks"
)
"""The reference model; its formula stands in kernels/reference.py."""

"""What goes through a model: arrays or pictures, held against the model's inputs before anything is sent or charged."""

from jobs.inputs.batch import ArrayBatch, Batch
from jobs.inputs.prepare import PreparedBatch, prepare_batch
from jobs.inputs.signature import ModelFiles, ModelInput, read_model

__all__ = ["ArrayBatch", "Batch", "ModelFiles", "ModelInput", "PreparedBatch", "prepare_batch", "read_model"]

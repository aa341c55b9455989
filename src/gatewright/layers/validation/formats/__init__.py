"""What form an answer has to have: JSON, a record, a table, code, a language, a length, a wording."""

from gatewright.layers.validation.formats.base import Format
from gatewright.layers.validation.formats.code import CodeFormat
from gatewright.layers.validation.formats.json import JsonFormat
from gatewright.layers.validation.formats.language import LanguageFormat
from gatewright.layers.validation.formats.length import LengthFormat
from gatewright.layers.validation.formats.model import ModelFormat
from gatewright.layers.validation.formats.tables import TableFormat
from gatewright.layers.validation.formats.wording import WordingFormat

__all__ = [
    "CodeFormat",
    "Format",
    "JsonFormat",
    "LanguageFormat",
    "LengthFormat",
    "ModelFormat",
    "TableFormat",
    "WordingFormat",
]

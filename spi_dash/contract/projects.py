"""Projects: who works together, on which traps and dates."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from .base import Info, Moment, whole

MAX_ID = 2**31 - 1
MAX_PROJECT_NAME_CHARS, MAX_DESCRIPTION_CHARS, MAX_NOTES_CHARS = 32, 20, 2048

_ONE_LINE = "^[^\x00-\x1f\x7f]*$"
_LINES = "^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"


Id = Annotated[int, BeforeValidator(whole), Field(strict=True, ge=1, le=MAX_ID)]
OptionalId = Annotated[Id | None, Field(description="the row to change; without it, a new one is made")]
# As of tuboids: traps have eight hexadecimal digits, scripts of a lab may name others.
# As of tuboids: traps have eight hexadecimal digits, scripts of a lab may name others.
Device = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,8}$", description="eight hexadecimal digits, of known traps")]


class NewProject(Info):
    """A project to create. An `id` changes nothing: it is always a new one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=MAX_PROJECT_NAME_CHARS, pattern=_ONE_LINE)]
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS, pattern=_LINES)] | None = None
    notes: Annotated[str, Field(max_length=MAX_NOTES_CHARS, pattern=_LINES)] | None = None
    id: Id | None = None


class ProjectLevel(Info):
    """What a user may do in a project: 0 nothing, 1 look, 2 edit, 3 everything."""

    project_id: Id
    user_id: Id
    level: Annotated[int, BeforeValidator(whole), Field(strict=True, ge=0, le=3)]


class ProjectKey(Info):
    """One project."""

    project_id: Id


class ProjectSeries(Info):
    """A trap and the dates in which it worked for a project; further keys are the project's own columns."""

    model_config = ConfigDict(extra="allow", frozen=True)

    project_id: Id
    id: OptionalId = None
    device: Device | None = None
    start_datetime: Moment | None = None
    end_datetime: Moment | None = None


class ProjectSeriesKey(Info):
    """One row of a project's series."""

    project_id: Id
    id: Id


class ProjectColumn(Info):
    """A column to add to a project's series, or to rename where `old_column_name` is given."""

    project_id: Id
    column_name: Annotated[str, Field(min_length=1, max_length=64)]
    column_SQL_type: Annotated[str, Field(max_length=64, description="DOUBLE, DECIMAL(11, 8), CHAR(64) ...")] | None = (
        None
    )
    old_column_name: Annotated[str, Field(max_length=64)] | None = None


class ProjectColumnKey(Info):
    """One of a project's own columns."""

    project_id: Id
    column_name: Annotated[str, Field(min_length=1, max_length=64)]

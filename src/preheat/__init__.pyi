"""The public names of `preheat`, for type checkers; a test compares them with those at run time."""

from preheat.api import run_study as run_study
from preheat.core.errors import UserError as UserError
from preheat.core.grid import Block as Block
from preheat.core.lengths import Length as Length
from preheat.core.lengths import epochs as epochs
from preheat.core.lengths import fraction as fraction
from preheat.core.lengths import length as length
from preheat.core.lengths import steps as steps
from preheat.core.record import Record as Record
from preheat.core.record import Series as Series
from preheat.core.record import Status as Status
from preheat.core.registry import CHAPTERS as CHAPTERS
from preheat.core.registry import EXPORTERS as EXPORTERS
from preheat.core.registry import MODELS as MODELS
from preheat.core.registry import OPTIMIZERS as OPTIMIZERS
from preheat.core.registry import PROBES as PROBES
from preheat.core.registry import RATE_RULES as RATE_RULES
from preheat.core.registry import SCHEDULES as SCHEDULES
from preheat.core.registry import STUDIES as STUDIES
from preheat.core.registry import TASKS as TASKS
from preheat.core.run import Run as Run
from preheat.core.spec import Spec as Spec
from preheat.core.spec import spec as spec
from preheat.core.study import Study as Study
from preheat.lab.train import train as train
from preheat.schedules import *  # noqa: F403
from preheat.studies.regimes.original_analyzer import WarmupAnalyzer as WarmupAnalyzer

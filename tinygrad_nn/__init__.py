from .ops.elementwise import *
from .ops.reduction import *
from .ops.shaping import *
from .ops.indexing import *
from .ops.linalg import *
from .ops.fused import *
from .tensors import *
from .node import no_grad, enable_grad

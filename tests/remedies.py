"""What makes the text of an error end in a remedy."""

from __future__ import annotations

import re

# A remedy is an order where a clause begins: "; write y.astype(int)", "or leave it out", "instead: pass one".
ORDERS = (
    "add|assign|call|check|choose|compile|compute|convert|copy|declare|define|don't|draw|drop|end|find|give|install|join|leave|let|"
    "load|look|lower|make|mend|name|pad|pass|pickle|reduce|report|reshape|return|save|say|scale|see|set|sort|use|write"
)
# Or it says what is needed, in these words: "mode must be 'xy' or 'ij'", "stack needs tensors of one shape".
NEEDS = "must|needs?|is needed|are needed|takes?|may only|may read|has to|have to"
REMEDY = re.compile(rf"(?:^|[;:,.)] |\b(?:or|and|then|please) )(?:{ORDERS})\b|\b(?:{NEEDS})\b", re.IGNORECASE)

from __future__ import annotations

import re

from recsys.settings import PROJECT_ROOT
from recsys.synthetic import MarketplaceConfig

PAGE = (PROJECT_ROOT / "docs" / "synthetic.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "docs/synthetic.md", "exec"), {})


def test_the_page_and_the_defaults_agree() -> None:
    config = MarketplaceConfig()
    assert f"k^-{config.position_exponent}" in PAGE
    assert f"auctions {config.auction_share:.0%} of listings".replace("%", " %") in PAGE
    assert f"campaigns for {config.campaign_share:.0%}".replace("%", " %") in PAGE
    assert f"Cancellations: {config.cancel_mean:.0%} of purchases".replace("%", " %") in PAGE

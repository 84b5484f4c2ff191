"""Articles written for these tests, and the sentence with which each begins."""

from typing import NamedTuple


class Article(NamedTuple):
    """A text and the summary that the stand-in owes."""

    lead: str
    rest: str

    @property
    def text(self) -> str:
        return f"{self.lead} {self.rest}"


ARTICLES = (
    Article(
        "The city council of Springfield voted on Tuesday to replace 4,200 street lamps by 2027.",
        "Supporters say that the change will save $1.3 million a year. Mr. Ortega called it too "
        "costly. Work begins in March.",
    ),
    Article(
        "Researchers at the University of Oslo have found that salmon remember their home river.",
        "The fish were followed for six years. The finding may help dam builders.",
    ),
    Article(
        "Dr. Amara Nwosu of the U.S. Geological Survey said Friday's earthquake was felt 300 miles away.",
        "No injuries were reported. Schools stayed closed on Monday.",
    ),
    Article(
        "“We never expected this,” said the owner of the bakery after a video of her bread went viral.",
        "Orders have tripled. She has hired two more bakers and plans to open a second shop.",
    ),
    Article(
        "Is the four-day week here to stay?",
        "Companies that tried it report fewer sick days. Critics doubt the numbers.",
    ),
    Article(
        "Prices rose 3.5 percent in May, the statistics office said, not the 3.1 percent of the forecast!",
        "Energy was the main driver. The central bank meets next week.",
    ),
)

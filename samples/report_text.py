"""The words of the PDF files of the sample corpus."""

from __future__ import annotations

from typing import Final

SUMMARY: Final = """<h1>Report for the year 2024</h1>
<p>The mill turned on 187 days and welcomed 11,960 visitors, more than in any year since it was rescued. The oak axle of
the water wheel, which had carried the wheel since 1978, was replaced in November for 38,200 pounds. The dry summer
stopped the wheel on nineteen days in July and August. The Trust ends the year with a surplus of 15,100 pounds and
thanks its 64 volunteers, who gave 5,300 hours of their time.</p>
<h2>1 Visitors and volunteers</h2>"""

ARTICLES: Final[dict[str, tuple[str, str]]] = {
    "visitors": (
        """<p>Of all visitors, two in five came from Penbury and the villages around it. One in nine came from
abroad, most of them from the Netherlands, where the wind does the work that the water does here. The busiest day was
the harvest festival on 22 September with 912 guests.</p>
<p>School classes returned after two thin years. Seventy-one classes took part in the bread workshop, and the
waiting list for the spring is full. A new hand quern was bought so that two groups can grind at once.</p>
<p>The museum café baked 4,150 loaves. Its lemon cake was left out of the programme in the autumn because the price
of lemons had doubled; after forty letters of protest it came back in December.</p>""",
        """<p>Volunteers are the strength of the Trust. Twelve new millers were trained last winter and passed the test:
to set the gap between the stones by the smell of the meal and the feel of it between finger and thumb, with the
eyes closed.</p>
<p>Mrs Agnes Pell retired as head guide after thirty-one years. She has led, by her own count, 6,200 tours, and has
been asked on nearly all of them whether the mill is haunted. Her answer has always been that only the accounts are.</p>
<p>A sound guide for blind visitors was recorded in May. It leads by touch and hearing from the pond to the bin floor
and has been used 240 times.</p>""",
    ),
    "water": (
        """<h2>3 Water and grain</h2>
<p>Rain in the first quarter filled the pond to the brim. From May on the level fell by almost one centimetre a day.
When it is below 60 centimetres the sluice stays shut, because the river authority wants a stream of at least ninety
litres a second to reach the fish ladder at all times.</p>
<p>On nineteen days the wheel could not turn. The millers used the time to dress the French burr stones.</p>""",
        """<p>Grain came from six farms, none of them farther away than nine miles. The rye of Hobb's Farm was so good
that its sales rose by nearly a third. Spelt was ground for the first time.</p>
<p>In April, weevils were found in one delivery of wheat. The load was sent back, the bins were emptied and swept, and
traps are now read each week. No flour had to be destroyed.</p>
<p>Two owl boxes on the gable keep mice away better than any cat since Captain.</p>""",
    ),
    "axle": (
        """<h2>4 The new axle</h2>
<p>An endoscope pushed into the old axle in March showed what the carpenters had feared: a cavity as long as an arm.
Rain that ran along the spokes had rotted the core from within.</p>
<p>The new axle was hewn from an oak that stood for 210 years in Larrow Wood and was felled by a storm in 2019. It is
5.4 metres long, 62 centimetres thick and weighs 1.7 tonnes. Iron rings were shrunk on both ends while they
glowed.</p>""",
        """<p>The wheel was hung from a crane for eleven days while the axle was changed. The bearings are blocks of
lignum vitae, a wood so oily that water is all the grease it needs.</p>
<p>On 30 November at a quarter past two the sluice was opened by the youngest volunteer, who is nine. The wheel
made its first turn in fourteen seconds.</p>
<h2>5 Plans for 2025</h2>
<p>The roof of the granary will be covered anew with slate. A small turbine beside the weir is meant to light the
museum and to sell what is left over.</p>""",
    ),
}

LETTER: Final = (
    """Penbury Rural Fire Brigade
The Engine House, Market Street

                                      7 November 1911

To Mr. Walter Harrow, Gristmill Hollow

Dear Sir,

On the night of the fourth the brigade was called
to your mill by the ringing of the church bell. I
beg to report what was found.

The fire began on the bin floor. A bearing of the
sack hoist had run dry and grew so hot that it set
light to the dust on the beam beside it. Your
apprentice saw the glow at ten minutes past nine
and had the sense to shut the sluice before he ran
for help.

We drew water from the pond with the steam pump and
had the fire under control at eleven. The roof of
the north side is lost, and so are about forty
sacks of oats. The stones, the gears and the wheel
are unharmed.
""",
    """                    - 2 -

I recommend the following:

First, that every bearing above the ground floor be
greased with tallow each Monday and that the day be
written in a book kept for it.

Second, that dust be swept from the beams once a
week and never be blown off them.

Third, that six leather buckets filled with sand
hang on the stair of each floor, for water thrown
on burning flour does more harm than good.

The cost of the call is three pounds and ten
shillings. The men ask me to thank Mrs. Harrow for
the soup.

I am, Sir, your obedient servant,

Captain R. Thistlewood
""",
)

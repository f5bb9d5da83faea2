"""Questions about anything, of every form: what an index answers to them is its background.

Invented for this purpose, drawn from no corpus: names of things, sounds and speech, happenings, questions,
headings and captions, statements.
"""

from __future__ import annotations

from typing import Final

BACKGROUND: Final = (
    # keywords and names of things
    "a wooden chair",
    "lighthouse at night",
    "an old bicycle",
    "two children playing football",
    "a bowl of soup",
    "a street market in the rain",
    "yellow raincoat",
    "a broken umbrella",
    "mountain lake",
    "a woman reading a newspaper",
    "a horse jumping a fence",
    "red sports car",
    "a map of the harbour",
    "a whale",
    "cactus",
    "a cup and a spoon",
    # sounds and speech
    "thunder and heavy rain",
    "someone laughing",
    "a crowd cheering",
    "church bells",
    "the speaker thanks the audience",
    "an engine that will not start",
    "good morning, how are you?",
    "a violin solo",
    # moving pictures
    "a man opens the door and leaves",
    "the goal in the last minute",
    "waves breaking on the beach",
    "how to tie a tie, step by step",
    # questions
    "who invented the telephone?",
    "what causes inflation?",
    "how do I renew my passport?",
    "why is the sky blue?",
    "when did the Roman empire fall?",
    "which vitamins are in an orange?",
    "how many people live in Lagos?",
    "what are the side effects of aspirin?",
    "how does a heat pump work?",
    "where was the treaty signed?",
    "how do I delete a file?",
    "what is a hash table?",
    "can I return a product after thirty days?",
    "what is the difference between a violin and a viola?",
    "how long should eggs boil?",
    "who won the election in 1998?",
    # headings, captions, tables
    "Introduction",
    "Safety instructions",
    "Terms of payment",
    "Installation and set-up",
    "Results and discussion",
    "Annual rainfall by region",
    "Quarterly revenue and costs",
    "Names and addresses of members",
    "Error messages",
    "Chapter 4: the siege",
    "Population growth from 1950 to 2000, line chart",
    "Diagram of the cooling circuit",
    # statements
    "Parliament passed the bill after a long debate.",
    "The patient was given antibiotics for ten days.",
    "Wheat prices rose sharply after the drought.",
    "The bridge was closed for repairs in March.",
    "Photosynthesis turns light into chemical energy.",
    "The striker signed a contract for three years.",
    "Mix the flour with butter and sugar.",
    "The court dismissed the appeal.",
)

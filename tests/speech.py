"""What is said in the shipped recording, and how much of it a transcript has wrong."""

import jiwer

JFK = (
    "And so my fellow Americans, ask not what your country can do for you, "
    "ask what you can do for your country."
)


def word_error_rate(text: str) -> float:
    """Return the share of words that differ from the recording's, case and punctuation aside."""
    normalise = jiwer.Compose(
        [
            jiwer.ToLowerCase(),
            jiwer.RemovePunctuation(),
            jiwer.RemoveMultipleSpaces(),
            jiwer.Strip(),
            jiwer.ReduceToListOfListOfWords(),
        ]
    )
    return jiwer.wer(JFK, text, reference_transform=normalise, hypothesis_transform=normalise)

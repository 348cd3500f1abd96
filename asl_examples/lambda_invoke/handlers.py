"""A very small dictionary. A function's name finds it: dashes and underscores are the same."""

_WORDS = {"de": {"tea": "Tee"}, "pt": {"tea": "chá"}, "en": {"Guten Tag": "good day", "bom dia": "good day"}}


def translate(event, context):
    language = event["language"]
    return {"language": language, "translation": _WORDS[language][event["text"]]}


def greet_in_de(event, context):
    return "Guten Tag"


def greet_in_pt(event, context):
    return "bom dia"

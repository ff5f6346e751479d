"""Names of columns in rosters and grade tables, without case, blanks and punctuation."""

_WORDS = {
    "id": "id studentid student sid studentnumber idnumber matrikelnummer matriculationnumber username sisuserid",
    "name": "name fullname studentname displayname vollstandigername nomcomplet",
    "first": "firstname first givenname vorname prenom",
    "last": "lastname last surname familyname nachname nom",
    "email": "email emailaddress mail emailadresse adressedecourriel loginid sisloginid",
    "lms": "lmsid lmsids lms lmsuserid canvasid canvasuserid moodleid participantid gradescopeid identifier",
    "group": "group groupname gruppe groupe grupo team",
    "section": "section sections sektion",
    "role": "role roles rolle",
    "extension": "extension extensions extended verlangerung",
    "submitted": "lastmodifiedsubmission zuletztgeandertabgabe",
}
HEADERS = {kind: frozenset(words.split()) for kind, words in _WORDS.items()}
"""The content of a column, by its header in lower-case letters and digits only."""

"""What python3-jsonschema says of the pairs on standard input: a line each,
true, false, or null where it cannot say."""
import json
import sys

from jsonschema import Draft202012Validator

seen, validator = None, None
for line in sys.stdin:
    pair = json.loads(line)
    if pair["schema"] != seen:
        seen = pair["schema"]
        validator = Draft202012Validator(json.loads(seen))
    try:
        verdict = validator.is_valid(json.loads(pair["instance"]))
    except Exception:
        verdict = None
    print(json.dumps(verdict))

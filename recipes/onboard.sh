#!/usr/bin/env bash
# Link a Git account, unless it is linked, and print the account: onboard.sh NAME [REPO_TYPE]
# The region and the credentials come from the environment. It may be run again at any time.
set -euo pipefail

name=${1:?usage: onboard.sh NAME [REPO_TYPE]}
repo_type=${2:-github}

# Standard output is the record and nothing else; people read the rest on standard error, errors and hints included.
status=0
record=$(oauth-helper link "$repo_type" --name "$name" --if-exists keep --json) || status=$?

if [ "$status" -eq 8 ]; then # the user has authorized; what is left to do needs no browser
    oauth-helper resume >/dev/null
    record=$(oauth-helper show "$name" --json)
elif [ "$status" -ne 0 ]; then # 4: the user said no; 5: no one came; docs/scripting.md has the others
    exit "$status"
fi

python3 -c 'import json, sys; print(json.load(sys.stdin)["repo_user"])' <<<"$record"

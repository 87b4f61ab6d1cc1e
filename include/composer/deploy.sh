#!/usr/bin/env bash
# Bring this bundle into a Cloud Composer 3 environment. Needs gcloud, and the right to write to the environment's bucket.
#   PROJECT=my-project REGION=europe-west1 ENVIRONMENT=recsys ./deploy.sh            code only: a minute
#   PROJECT=my-project REGION=europe-west1 ENVIRONMENT=recsys ./deploy.sh --all      packages and variables too: long
set -euo pipefail
cd "$(dirname "$0")"
: "${PROJECT:?}" "${REGION:?}" "${ENVIRONMENT:?}"
where=(--project "$PROJECT" --location "$REGION")

# Composer answers an update that changes nothing with an error; that one is no reason to stop.
update() {
    local told
    if ! told="$(gcloud composer environments update "$ENVIRONMENT" "${where[@]}" "$@" 2>&1)"; then
        echo "$told" >&2
        grep --quiet 'No change in configuration' <<<"$told"
    fi
}

if [ "${1:-}" = --all ]; then
    if grep --quiet --word-regexp 'PROJECT\|REGION' environment.env; then
        echo "environment.env still names PROJECT or REGION; put your own in." >&2
        exit 1
    fi
    update --update-pypi-packages-from-file requirements.txt
    update --update-env-variables "^;^$(grep --invert-match '^#' environment.env | paste --serial --delimiters ';')"
fi

dags="$(gcloud composer environments describe "$ENVIRONMENT" "${where[@]}" --format 'value(config.dagGcsPrefix)')"
bucket="${dags%/dags}"
# The code before the DAGs that use it. Whole folders are ours; beside them others may have put plugins and DAGs.
for folder in recsys include expectations; do
    gcloud storage rsync --recursive --delete-unmatched-destination-objects "plugins/$folder" "$bucket/plugins/$folder"
done
gcloud storage cp plugins/*.py plugins/.airflowignore "$bucket/plugins/"
gcloud storage cp dags/*.py "$dags/"
echo "In the bucket. Workers have it within a minute or two: $bucket"

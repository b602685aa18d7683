#!/bin/bash
# Put what the page of "travel_graphql graphiql=" needs into a directory: its
# script, and GraphiQL and React as npm has them.
#   graphiql.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."

dir=${1:?usage: graphiql.sh DIRECTORY}
modules=scripts/node/node_modules
mkdir -p "$dir"
install -m 644 conf/travel/graphiql/start.js \
    $modules/graphiql/graphiql.min.js $modules/graphiql/graphiql.min.css \
    $modules/react/umd/react.production.min.js \
    $modules/react-dom/umd/react-dom.production.min.js "$dir/"

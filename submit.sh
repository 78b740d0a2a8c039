#!/usr/bin/env bash
# Submit an agent: build its image, check that the image can play, push it, write it down.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat <<'END'
usage: ./submit.sh [options] [-- DOCKER BUILD ARGUMENTS]

Build the agent image, let it play a short check evaluation in containers, push it, and write a
record that `retro-contest leaderboard` reads. An image that fails its check is not pushed.

  --registry HOST/REPO  where to push it (without: it stays on this machine)
  --tag TAG             its tag (default: version and commit)
  --bundle DIR          the bundle it holds (default: bundles/pangolin)
  --levels SET          what the check plays (default: two acts of Pangolin Dash)
  --timesteps N         budget of each of the check's runs (default: 2000)
  --results DIR         where the check and the record go (default: results/submissions/TAG)
  --dry-run             say what would be done
  --help                this text

Arguments after -- go to the `docker build` of the agent image. Those that say how to build, not
what (--build-arg, --network, --pull, --no-cache, --add-host, --platform), also go to that of the
environment image, for example --build-arg BASE=IMAGE.
Exits with 0 when all is done, 1 when a step failed, 2 when something is missing or misspelt.
END
}

fail() {  # fail CODE MESSAGE
  echo "submit.sh: $2" >&2
  exit "$1"
}

registry='' tag='' bundle=bundles/pangolin timesteps=2000 results='' dry_run=''
levels=PangolinDash-Genesis-v0/FernHollow.Act1,PangolinDash-Genesis-v0/AmberDunes.Act1
build_arguments=() environment_arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --registry | --tag | --bundle | --levels | --timesteps | --results)
      [ $# -ge 2 ] || fail 2 "$1 needs a value"
      declare "${1#--}=$2"
      shift 2
      ;;
    --dry-run) dry_run=yes; shift ;;
    --help | -h) usage; exit 0 ;;
    --) shift; build_arguments=("$@"); break ;;
    *) fail 2 "unknown argument '$1' (--help lists them)" ;;
  esac
done

# The environment image is the contest's side: a foreign Dockerfile or target must never reach it.
set -- ${build_arguments[@]+"${build_arguments[@]}"}
while [ $# -gt 0 ]; do
  case $1 in
    --build-arg | --network | --add-host | --platform)
      [ $# -ge 2 ] || fail 2 "$1 after -- needs a value"
      environment_arguments+=("$1" "$2")
      shift
      ;;
    --build-arg=* | --network=* | --add-host=* | --platform=* | --pull | --pull=* | --no-cache)
      environment_arguments+=("$1")
      ;;
    -t* | --tag | --tag=*) fail 2 "$1 after --: the image's name is made from --registry and --tag" ;;
  esac
  shift
done

run() {
  if [ -n "$dry_run" ]; then
    printf 'would run:'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

# --- what it needs ---

python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
"$python" -c 'import docker, yaml' 2>/dev/null ||
  fail 2 "$python lacks what the contest needs: pip install -r retro_contest/requirements.txt"
command -v docker >/dev/null || fail 2 "there is no program 'docker': install Docker first"
if ! problem=$(docker version --format '{{.Server.Version}}' 2>&1); then
  fail 2 "the Docker engine cannot be reached: $(tail -n 1 <<<"$problem")"
fi
[ -f "$bundle/config.yaml" ] || fail 2 "no bundle in $bundle: --bundle names another folder"

version=$(sed -n 's/^__version__ = "\([^"]*\)".*/\1/p' gym_remote/__init__.py)
commit=$(git rev-parse --short=12 HEAD 2>/dev/null) || commit=unknown
if [ "$commit" != unknown ] && [ -n "$(git status --porcelain --untracked-files=no)" ]; then
  echo "submit.sh: warning: the work tree has changes that are in no commit" >&2
  commit=$commit+changes
fi
tag=${tag:-$version-${commit/+/-}}  # a tag cannot hold a plus sign
bundle_sha256=$(sha256sum "$bundle/config.yaml" | cut -d ' ' -f 1)
image=${registry:-retro-contest-agent}:$tag
results=${results:-results/submissions/$tag}

# --- build, check, push, record ---

echo "building $image"
run docker build --quiet --file retro_contest/Dockerfile --tag retro-contest-environment \
  --build-arg "COMMIT=$commit" \
  ${environment_arguments[@]+"${environment_arguments[@]}"} . ||
  fail 1 "the environment image could not be built"
run docker build --quiet --tag "$image" --build-arg "BUNDLE=$bundle" \
  --build-arg "VERSION=$version" --build-arg "COMMIT=$commit" \
  --build-arg "BUNDLE_SHA256=$bundle_sha256" ${build_arguments[@]+"${build_arguments[@]}"} . ||
  fail 1 "the agent image could not be built"

echo "checking it"
run "$python" -m retro_contest evaluate --image "$image" --levels "$levels" --timesteps "$timesteps" \
  --results "$results" --name "$tag" --fresh ||
  fail 1 "the image failed its check and was not submitted; the logs are in $results"

digest=''
if [ -n "$registry" ]; then
  echo "pushing it"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if ! run docker push "$image" >"$log" 2>&1; then
    if grep -qiE 'no basic auth|unauthorized|authentication required|access.*denied' "$log"; then
      fail 1 "not logged in, or not allowed to push to $registry: docker login ${registry%%/*}"
    fi
    fail 1 "the push was refused: $(grep -v '^$' "$log" | tail -n 1)"
  fi
  if [ -n "$dry_run" ]; then
    cat "$log"
  else
    digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" |
      sed -n "s|^$registry@||p" | head -n 1)
    [ -n "$digest" ] || fail 1 "the registry gave no digest for $image"
  fi
fi

run "$python" -m retro_contest.board.submissions --results "$results" --image "$image" \
  --commit "$commit" --bundle "$bundle" --digest "$digest"
if [ -n "$dry_run" ]; then
  echo "nothing was done"
elif [ -n "$digest" ]; then
  echo "submitted $registry@$digest"
else
  echo "built and checked $image; --registry HOST/REPO pushes it"
fi

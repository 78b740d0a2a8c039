#!/usr/bin/env bash
# Submit an agent: build its image, check that the image can play, push it, write it down.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat <<'END'
usage: ./submit.sh [options] [-- DOCKER BUILD ARGUMENTS]

Build the agent image, let it play a short check evaluation in containers, push it, and write a
record that `retro-contest board` reads. An image that fails its check is not pushed.

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
environment image, for example --build-arg BASE=IMAGE. Without a BASE, python:3.11-slim is pulled and
both images are built from its digest.
Exits with 0 when all is done, 1 when a step failed, 2 when something is missing or misspelt.
END
}

fail() {  # fail CODE MESSAGE
  echo "submit.sh: $2" >&2
  exit "$1"
}

registry='' tag='' bundle=bundles/pangolin timesteps=2000 results='' dry_run=''
levels=PangolinDash-Genesis-v0/FernHollow.Act1,PangolinDash-Genesis-v0/AmberDunes.Act1
build_arguments=() environment_arguments=() base=''
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
      case $2 in BASE=*) base=${2#BASE=} ;; esac
      shift
      ;;
    --build-arg=* | --network=* | --add-host=* | --platform=* | --pull | --pull=* | --no-cache)
      environment_arguments+=("$1")
      case $1 in --build-arg=BASE=*) base=${1#--build-arg=BASE=} ;; esac
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

[[ $timesteps =~ ^[1-9][0-9]{0,8}$ ]] ||
  fail 2 "--timesteps '$timesteps' is not a whole number from 1 to 999999999"
if ! problem=$("$python" - "$levels" 2>&1 <<'END'
import sys
from retro_common.errors import UsageError
from retro_contest.levels import check_playable, find
try:
    check_playable(find(sys.argv[1]))
except UsageError as error:
    sys.exit(f"--levels: {error}")
END
); then
  fail 2 "$(tail -n 1 <<<"$problem")"
fi
name='[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*'
[ -z "$registry" ] ||
  [[ $registry =~ ^([A-Za-z0-9.-]+(:[0-9]+)?/)?$name(/$name)*$ && ${#registry} -le 200 ]] ||
  fail 2 "--registry '$registry' is no HOST/REPO: a repository's name is in lower case, without a tag"

version=$(sed -n 's/^__version__ = "\([^"]*\)".*/\1/p' gym_remote/__init__.py)
commit=$(git rev-parse --short=12 HEAD 2>/dev/null) || commit=unknown
if [ "$commit" != unknown ]; then
  # What .dockerignore lets in, whether git ignores it or not: files that no commit has would be in
  # an image that names one. Bundles elsewhere have a label of their own, and wheels have hashes.
  sources=(agent gym_remote retro_common retro_contest pangolin_dash/integration bundles)
  left_out='(^|/)__pycache__/|\.pyc$|\.egg-info(/|$)|^gym_remote/build/'
  untracked=$(git ls-files --others -- "${sources[@]}" Dockerfile .dockerignore |
    grep -vE "$left_out" || true)
  if [ -n "$(git status --porcelain --untracked-files=no)" ] || [ -n "$untracked" ]; then
    echo "submit.sh: warning: the work tree has changes that are in no commit" >&2
    [ -z "$untracked" ] || head -n 5 <<<"$untracked" >&2
    commit=$commit+changes
  fi
fi
tag=${tag:-$version-${commit/+/-}}  # a tag cannot hold a plus sign
[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
  fail 2 "--tag '$tag' cannot be a tag: up to 128 letters, digits and _ . - and first no . or -"
bundle_sha256=$(sha256sum "$bundle/config.yaml" | cut -d ' ' -f 1)
image=${registry:-retro-contest-agent}:$tag
results=${results:-results/submissions/$tag}
existing=$(realpath -m -- "$results")
until [ -e "$existing" ]; do existing=$(dirname "$existing"); done
{ [ -d "$existing" ] && [ -w "$existing" ] &&
  { [ -n "$dry_run" ] || mkdir -p -- "$results" 2>/dev/null; }; } ||
  fail 2 "--results '$results' cannot be written"

# --- build, check, push, record ---

if [ -z "$base" ]; then
  base=python:3.11-slim
  echo "pulling $base"
  if run docker pull --quiet "$base" >/dev/null 2>&1 && [ -z "$dry_run" ]; then
    base=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$base" |
      head -n 1)
    environment_arguments+=(--build-arg "BASE=$base")
    build_arguments+=(--build-arg "BASE=$base")
  fi  # else the build says why there is no such image
fi

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
code=0
run "$python" -m retro_contest evaluate --image "$image" --levels "$levels" --timesteps "$timesteps" \
  --results "$results" --name "$tag" --fresh || code=$?
[ $code -ne 2 ] || fail 2 "the check could not be played, and the image was not submitted"
[ $code -eq 0 ] ||
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
    # A stranger's words: nothing in them that a terminal would obey, and not all of them.
    fail 1 "the push was refused: $(grep -v '^$' "$log" | tail -n 1 | LC_ALL=C tr -cd '\40-\176' |
      cut -c 1-300)"
  fi
  if [ -n "$dry_run" ]; then
    cat "$log"
  else
    digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" |
      sed -n "s|^$registry@||p" | head -n 1)
    [ -n "$digest" ] || fail 1 "the registry gave no digest for $image"
  fi
fi

# The bill of materials: pip's own list of what the image holds, made when it was built. It is copied
# out of the image, so nothing of the image runs. An image with a Dockerfile of its own may have none.
if [ -z "$dry_run" ]; then
  container=$(docker create "$image")
  # Only its content: in an image of a stranger it may be a link.
  docker cp "$container:/opt/venv/pip-inspect.json" - 2>/dev/null | tar -xO 2>/dev/null |
    head -c 16777216 >"$results/bill-of-materials.json" || true
  if [ ! -s "$results/bill-of-materials.json" ]; then
    rm "$results/bill-of-materials.json"
    echo "submit.sh: warning: the image holds no bill of materials" >&2
  fi
  docker rm -v "$container" >/dev/null
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

"""What each system is measured by: the rows of the laboratory's table."""

from __future__ import annotations

from lab.figures import (
    Figure,
    Row,
    at,
    at_best,
    at_end,
    at_start,
    constant,
    data_mean,
    gain,
    harm,
    held_out,
    in_body,
    in_others,
    likelihood,
    own_gain,
    played,
    seconds,
    simple,
    success,
)

SEEDS = (0, 1, 2)
"""seeds that every configuration is run with"""

IQL, ILQL, CQL = "arXiv 2110.06169", "arXiv 2206.11871", "arXiv 2006.04779"
SCALED, DR3, SAC = "arXiv 2211.15144", "arXiv 2112.04716", "arXiv 2406.12563"
FORMULA = "none to run: Dopamine's formula, compared in tests/lab/test_lab_values.py"
HILP, U2O, GNM = "arXiv 2402.15567", "arXiv 2408.14785", "arXiv 2210.03370"
LDR, WITHIN = "arXiv 1810.02309", 0.98
CROSS, IN_CONTEXT = "arXiv 2408.11812", "arXiv 2408.15980"
THREE = ("home", "mirrored", "buttons")
"""bodies that were made from the recorded data, and that share a C"""
NO_CROSS = "none: the public code is a transformer of 130 million weights"
NO_ICRT = (
    "none: ICRT's code reads a robot's cameras and arm; d3rlpy's Decision Transformer is prompted"
    " by a return, not by episodes"
)
WHOLE = 0.52
"""5 MB as a share of the shipped bundle's 9.57"""
LAYER = "torch-structured 1.3.0: equal outputs, tests/lab/test_lab_structured.py"
NO_SAC = "none: no public discrete QR-SAC with an asymmetric critic"
NO_HILP = (
    "none to run: HILP's code is for continuous actions; its loss, compared in"
    " tests/lab/test_lab_goals.py"
)
SOAR = "arXiv 2407.20635"
NO_SOAR = "none: SOAR's code needs its language, picture and robot models"
NO_GNM = "none: GNM's networks read camera pictures and tell waypoints in metres"
DRIFTING, RCAD, LDM = "arXiv 2306.06330", "arXiv 2206.01367", "arXiv 2206.10524"
ODE = "torchdiffeq's neural ODE, in a row of its own"
FAMILIES = {"film": "biases of M's heads", "heads": "M's heads", "full": "all of M"}


def same(system: str, mine: str) -> Row:
    """Ours and a peer's, on the same arrays, within 5% of each other."""
    of, to = at_end(mine), at_end(f"peer-{mine}")
    return Row(
        *(system, "the peer", f"score of {mine} ÷ the peer's"),
        *(of, to),
        least=0.95,
        most=1.05,
        peer=to.name,
    )


def dot_products(on: str, prefix: str) -> list[Row]:
    """DR3's own test, on one kind of features."""
    names = [f"{prefix}-{end}" for end in ("sarsa", "resampled", "term")]
    sarsa, resampled, term = (at_end(name, "dots") for name in names)
    return [
        Row(
            *("DR3", DR3, f"dot products on {on}, TD with resampled actions ÷ SARSA"),
            *(resampled, sarsa),
            least=3.0,
            no_peer=FORMULA,
        ),
        Row(
            *("DR3", DR3, f"dot products on {on}, the same with DR3's term ÷ SARSA"),
            *(term, sarsa),
            most=1.5,
            no_peer=FORMULA,
        ),
        Row(
            *("DR3", DR3, f"effective rank on {on}, with the term ÷ without"),
            *(at_end(names[2], "rank"), at_end(names[1], "rank")),
            least=1.0,
            no_peer=FORMULA,
        ),
    ]


def adapted(family: str) -> list[Row]:
    """M adapted to an act by some of its weights."""
    name, what = f"adaptation-{family}", FAMILIES[family]
    return [
        Row(
            *("drifting", DRIFTING, f"{what}: NLL gained ÷ 0.05 nats per unit"),
            *(gain(name), constant(name, 0.05, "nats")),
            least=1.0,
        ),
        Row(
            *("drifting", DRIFTING, f"{what}: NLL gained beyond other acts ÷ 0.05 nats per unit"),
            *(own_gain(name), constant(name, 0.05, "nats")),
            least=1.0,
        ),
        Row(
            *("drifting", DRIFTING, f"{what}: NLL more in training acts ÷ 0.02 nats per unit"),
            *(harm(name), constant(name, 0.02, "nats")),
            most=1.0,
        ),
        Row(
            *("drifting", DRIFTING, f"{what}: place 5 timesteps ahead, error ÷ before"),
            *(at_end(name, "px5"), at_start(name, "px5")),
            most=0.8,
        ),
        Row(
            *("drifting", DRIFTING, f"{what}: place 1 timestep ahead, error ÷ 2.5 px"),
            *(at_end(name, "px1"), constant(name, 2.5, "px")),
            most=1.0,
        ),
    ]


def last_quarter(name: str) -> Figure:
    """The share of SOAR's tries in the last quarter that reached their goal."""
    return success(name, -1, "last quarter")


def quarters(name: str) -> tuple[Figure, Figure]:
    """The same, and that of the first quarter."""
    return last_quarter(name), success(name, 0, "first quarter")


def across_bodies(body: str, sharing: str) -> list[Row]:
    """A body played by the C that `three` or `five` share, and by a specialist."""
    one, many = f"bodies-{body}", {"three": "bodies-shared", "five": "bodies-five"}[sharing]
    return [
        Row(
            *(
                "CrossFormer",
                CROSS,
                f"{body}: score of the C that {sharing} share ÷ the specialist's",
            ),
            *(in_body(many, body), in_body(one, body)),
            least=0.95,
            no_peer=NO_CROSS,
        ),
        Row(
            *(
                "CrossFormer",
                CROSS,
                f"{body}: likelihood of held-back actions, shared by {sharing} ÷ specialist",
            ),
            *(likelihood(many, f"nll {body}"), likelihood(one, f"nll {body}")),
            least=0.95,
            no_peer=NO_CROSS,
        ),
    ]


def left_out(to: str, what: str) -> Row:
    """The body left out, learnt with half of the timesteps from what three others share."""
    return Row(
        *(
            "CrossFormer",
            CROSS,
            f"a body left out: likelihood, shared C and half the data ÷ {what}",
        ),
        *(likelihood("bodies-new-shared", "nll both"), likelihood(to, "nll both")),
        least=1.0,
        no_peer=NO_CROSS,
    )


def in_context(of: str, to: str, least: float, others: bool) -> Row:
    """The likelihood of recorded actions with one prompt and with another: `4`, `1`, `0` episodes
    of the act, or `wrong`, those of another one."""
    what = {"4": "4 episodes", "1": "1 episode", "0": "none", "wrong": "4 of a wrong act"}

    def likely(key: str) -> Figure:
        said = f"likelihood prompted by {what[key]}"
        return likelihood("icrt", f"nll {key}", said, others=others)

    where = "held-out acts" if others else "held-back episodes"
    return Row(
        *("ICRT", IN_CONTEXT, f"{where}: likelihood prompted by {what[of]} ÷ by {what[to]}"),
        *(likely(of), likely(to)),
        least=least,
        no_peer=NO_ICRT,
    )


ROWS = [
    Row(
        *("ILQL", IQL, "IQL's score ÷ the clone's"),
        *(at_end("iql"), at_end("clone")),
        least=1.15,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "IQL's score ÷ that of the best tenth's clone"),
        *(at_end("iql"), at_end("clone-best")),
        least=1.0,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "IQL's score ÷ the mean of its data"),
        *(at_end("iql"), data_mean("iql")),
        least=1.0,
        peer="peer-iql",
    ),
    Row(
        *("ILQL", IQL, "held-out acts: IQL's score ÷ the clone's"),
        *(held_out("iql"), held_out("clone")),
        least=1.0,
    ),
    same("ILQL", "clone"),
    same("ILQL", "iql"),
    Row(
        *("ILQL", ILQL, "score of the clone reweighted by Q - V ÷ the clone's"),
        *(at_end("ilql"), at_end("clone")),
        least=1.15,
        no_peer="none: its code is for language models",
    ),
    Row(
        *("Scaled-QL", SCALED, "score, categorical and normalised ÷ scalar (CQL)"),
        *(at_end("scaled-256"), at_end("cql")),
        least=1.0,
        peer="peer-scaled",
    ),
    Row(
        *("Scaled-QL", SCALED, "score ÷ the mean of its data"),
        *(at_end("scaled-256"), data_mean("scaled-256")),
        least=1.5,
        peer="peer-scaled",
    ),
    Row(
        *("Scaled-QL", SCALED, "score at 512 units ÷ at 64 units"),
        *(at_end("scaled-512"), at_end("scaled-64")),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", SCALED, "score at 256 units ÷ at 64 units"),
        *(at_end("scaled-256"), at_end("scaled-64")),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", SCALED, "score with a head for each act ÷ with one head"),
        *(at_end("scaled-heads"), at_end("scaled-256")),
        least=1.0,
    ),
    same("Scaled-QL", "cql"),
    Row(
        *("Scaled-QL", SCALED, "held-out acts: score after 2,700 timesteps of data each ÷ before"),
        *(at_end("scaled-new"), at_start("scaled-new")),
        least=1.0,
    ),
    Row(
        *("Scaled-QL", SCALED, "held-out acts: score after 2,700 timesteps of play each ÷ before"),
        *(at_end("scaled-new-online"), at_start("scaled-new-online")),
        least=1.0,
    ),
    *dot_products("frozen features", "dr3"),
    Row(
        *("DR3", DR3, "CQL with the term: score at 5 x the steps ÷ its best"),
        *(at_end("cql-dr3-long"), at_best("cql-dr3-long")),
        least=0.95,
        no_peer=FORMULA,
    ),
    Row(
        *("DR3", CQL, "CQL alone: score at 5 x the steps ÷ its best"),
        *(at_end("cql-long"), at_best("cql-long")),
        least=0.95,
        no_peer=FORMULA,
    ),
    Row(
        *("ILQL", IQL, "timesteps of PPO from IQL to the level of PPO at 409,600 ÷ 409,600"),
        *(at_end("ppo-from-iql"), at_end("ppo")),
        most=0.5,
        until=True,
    ),
    Row(
        *("ILQL", IQL, "score after 4,056 timesteps of fine-tuning ÷ before"),
        *(at("ppo-from-iql", 4_000), at_start("ppo-from-iql")),
        least=0.95,
    ),
    Row(
        *("ILQL", ILQL, "held-out acts, 20,000 timesteps each: C frozen, Q - V learnt ÷ PPO"),
        *(played("ilql-online"), played("ppo-online")),
        least=0.97,
    ),
    Row(
        *("QR-SAC", SAC, "score after 102,400 timesteps ÷ PPO's"),
        *(at_end("qr-sac"), at("ppo", 102_400)),
        least=1.0,
        no_peer=NO_SAC,
    ),
    Row(
        *("QR-SAC", SAC, "score after 51,200 timesteps ÷ PPO's"),
        *(at("qr-sac", 51_200), at("ppo", 51_200)),
        least=1.0,
        no_peer=NO_SAC,
    ),
    Row(
        *("QR-SAC", "arXiv 2504.09021", "score, critics see the game's memory ÷ they do not"),
        *(at_end("qr-sac"), at_end("qr-sac-symmetric")),
        least=1.0,
        no_peer=NO_SAC,
    ),
    *dot_products("learnt features", "dr3-frames"),
    *(row for family in FAMILIES for row in adapted(family)),
    Row(
        *("drifting", DRIFTING, "NLL gained by the biases of M's heads ÷ by all of the heads"),
        *(gain("adaptation-film"), gain("adaptation-heads")),
        least=0.8,
    ),
    Row(
        *("drifting", DRIFTING, "all of M: fitting an act ÷ 30 s"),
        *(seconds("adaptation-full"), constant("adaptation-full", 30, "s")),
        most=1.0,
    ),
    Row(
        *("drifting", DRIFTING, "curves of motion: place 1 timestep ahead, error ÷ 2.5 px"),
        *(at_end("motion", "px1"), constant("motion", 2.5, "px")),
        most=1.0,
        no_peer=ODE,
    ),
    Row(
        *("drifting", DRIFTING, "curves of motion: place 1 timestep ahead, error ÷ M's"),
        *(at_end("motion", "px1"), at_start("adaptation-full", "px1")),
        most=1.0,
        no_peer=ODE,
    ),
    Row(
        *("drifting", DRIFTING, "curves of motion: place 5 timesteps ahead, error ÷ M's"),
        *(at_end("motion", "px5"), at_start("adaptation-full", "px5")),
        most=0.8,
        no_peer=ODE,
    ),
    Row(
        *(
            "drifting",
            DRIFTING,
            "curves of motion: place 5 timesteps ahead, error ÷ a neural ODE's",
        ),
        *(at_end("motion", "px5"), at_end("peer-ode", "px5")),
        most=1.0,
        no_peer="torchdiffeq 0.2.5: the baseline",
    ),
    Row(
        *("drifting", DRIFTING, "curves of motion: fitting an act ÷ 30 s"),
        *(seconds("motion"), constant("motion", 30, "s")),
        most=1.0,
        no_peer=ODE,
    ),
    Row(
        *("RCAD", RCAD, "share of frames more than 8 px off ÷ 2%"),
        *(in_others("finder-rcad", "far"), constant("finder-rcad", 0.02, "of the frames")),
        most=1.0,
    ),
    Row(
        *("RCAD", RCAD, "share of frames more than 8 px off ÷ cross-entropy's"),
        *(in_others("finder-rcad", "far"), in_others("finder-plain", "far")),
        most=0.67,
    ),
    Row(
        *("RCAD", RCAD, "share of frames more than 8 px off ÷ label smoothing's"),
        *(in_others("finder-rcad", "far"), in_others("finder-smoothing", "far")),
        most=1.0,
    ),
    Row(
        *("RCAD", RCAD, "calibration error ÷ label smoothing's"),
        *(in_others("finder-rcad", "calibration"), in_others("finder-smoothing", "calibration")),
        most=0.75,
    ),
    Row(
        *("RCAD", RCAD, "calibration error ÷ cross-entropy's"),
        *(in_others("finder-rcad", "calibration"), in_others("finder-plain", "calibration")),
        most=0.75,
    ),
    Row(
        *("RCAD", RCAD, "share of the likeliest cell on noise ÷ 0.2"),
        *(in_others("finder-rcad", "noise"), constant("finder-rcad", 0.2, "of all cells")),
        most=1.0,
    ),
    Row(
        *("LDM", LDM, "rank correlation with the error of M's dreams, G's ÷ E's"),
        *(in_others("ldm", "rank_g"), in_others("ldm", "rank_e")),
        least=1.0,
    ),
    Row(
        *("LDM", LDM, "rank correlation with the error of M's dreams, G's ÷ disagreement's"),
        *(in_others("ldm", "rank_g"), in_others("ldm", "rank_disagreement")),
        least=1.0,
    ),
    Row(
        *("LDM", LDM, "error of the 60% of the dreams with the lowest G ÷ of all"),
        *(in_others("ldm", "error_g"), in_others("ldm", "error")),
        most=0.8,
    ),
    Row(
        *("LDM", LDM, "error of 60% of the dreams, by G ÷ by disagreement"),
        *(in_others("ldm", "error_g"), in_others("ldm", "error_disagreement")),
        most=1.0,
    ),
    Row(
        *("U2O-HILP", HILP, "held-out acts: rank correlation of distance and timesteps (1 to 50)"),
        *(in_others("hilp", "spearman"), in_others("ridge-50", "spearman")),
        least=0.8,
        alone=True,
        no_peer=NO_HILP,
    ),
    Row(
        *("U2O-HILP", U2O, "score of the skill that fits 1,000 timesteps' rewards ÷ the clone's"),
        *(at_end("hilp"), at_end("clone")),
        least=1.3,
        no_peer=NO_HILP,
    ),
    Row(
        *("U2O-HILP", U2O, "score of that skill ÷ IQL's, which learns from all rewards"),
        *(at_end("hilp"), at_end("iql")),
        least=0.8,
        no_peer=NO_HILP,
    ),
    Row(
        *("U2O-HILP", U2O, "held-out acts: score of that skill there ÷ the clone's"),
        *(held_out("hilp"), held_out("clone")),
        least=1.3,
        no_peer=NO_HILP,
    ),
    Row(
        *("U2O-HILP", U2O, "held-out acts: score of that skill there ÷ IQL's"),
        *(held_out("hilp"), held_out("iql")),
        least=0.8,
        no_peer=NO_HILP,
    ),
    Row(
        *("U2O-HILP", U2O, "held-out acts, 20,000 timesteps each: that skill ÷ IQL, both by PPO"),
        *(played("u2o"), played("ppo-iql-online")),
        least=1.0,
        no_peer=NO_HILP,
    ),
    Row(
        *("U2O-HILP", U2O, "the same, score at the end"),
        *(at_end("u2o"), at_end("ppo-iql-online")),
        least=1.0,
        no_peer=NO_HILP,
    ),
    Row(
        *("U2O-HILP", U2O, "score after 2,000 timesteps of fine-tuning each ÷ before"),
        *(at("u2o", 10_000), at_start("u2o")),
        least=0.95,
        no_peer=NO_HILP,
    ),
    Row(
        *("GNM", GNM, "held-out acts: mean error of the distance, in timesteps (0 to 20)"),
        *(in_others("gnm", "error"), simple("ridge-20")),
        most=2.0,
        alone=True,
        no_peer=NO_GNM,
    ),
    Row(
        *("GNM", GNM, "held-out acts: error of the distance ÷ that of the best simple guess"),
        *(in_others("gnm", "error"), simple("ridge-20")),
        most=0.7,
        no_peer=NO_GNM,
    ),
    Row(
        *("GNM", GNM, "held-out acts: share of a second run in which the pointer is right"),
        *(in_others("gnm", "pointer"), in_others("gnm", "clock")),
        least=0.9,
        alone=True,
        no_peer=NO_GNM,
    ),
    *(
        Row(*("SOAR", SOAR, f"held-out acts: {target}"), *figures, least=least, no_peer=NO_SOAR)
        for target, figures, least in (
            ("success on commanded goals, last ÷ first quarter", quarters("soar"), 1.5),
            (
                "success in the last quarter ÷ the same without learning",
                (last_quarter("soar"), last_quarter("soar-still")),
                1.0,
            ),
            (
                "success on goals from M's dreams, last ÷ first quarter",
                quarters("soar-dreams"),
                1.5,
            ),
            (
                "last quarter, goals from M's dreams ÷ recorded goals",
                (last_quarter("soar-dreams"), last_quarter("soar")),
                1.0,
            ),
        )
    ),
    Row(
        *("LDR", LDR, "bytes of the bundle ÷ those of the dense one"),
        *(at_end("ldr", "megabytes"), at_end("ldr-dense", "megabytes")),
        most=WHOLE,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "M's likelihood of a latent unit ÷ the dense M's, within 0.02 nats"),
        *(likelihood("ldr"), likelihood("ldr-dense")),
        least=WITHIN,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "the same ÷ that of low rank at equal bytes"),
        *(likelihood("ldr"), likelihood("ldr-low-rank")),
        least=1.0,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "the same ÷ that of 8 bits in a smaller bundle"),
        *(likelihood("ldr"), likelihood("ldr-int8")),
        least=1.0,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "C's distance (KL) from the shipped C ÷ that with low rank"),
        *(at_end("ldr", "kl"), at_end("ldr-low-rank", "kl")),
        most=1.0,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "score ÷ the dense bundle's"),
        *(at_end("ldr"), at_end("ldr-dense")),
        least=0.97,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "held-out acts: score after 20,000 timesteps of PPO each ÷ dense"),
        *(at_end("ppo-online-ldr"), at_end("ppo-online")),
        least=0.97,
        no_peer=LAYER,
    ),
    Row(
        *("LDR", LDR, "held-out acts: score during these 20,000 timesteps ÷ dense"),
        *(played("ppo-online-ldr"), played("ppo-online")),
        least=0.97,
        no_peer=LAYER,
    ),
    *(row for body in THREE for row in across_bodies(body, "three")),
    *(row for body in (*THREE, "slow", "airstriker") for row in across_bodies(body, "five")),
    Row(
        *(
            "CrossFormer",
            CROSS,
            "a body left out: score, shared C and half the data ÷ scratch, all",
        ),
        *(at_end("bodies-new-shared"), at_end("bodies-new")),
        least=1.0,
        no_peer=NO_CROSS,
    ),
    left_out("bodies-new", "scratch, all"),
    left_out("bodies-new-half", "scratch, half"),
    *(
        in_context(*compared, others)
        for others in (False, True)
        for compared in (("4", "1", 1.0), ("1", "0", 1.0), ("wrong", "0", 0.97))
    ),
    Row(
        *("ICRT", IN_CONTEXT, "held-back episodes: likelihood prompted by 4 ÷ the clone's"),
        *(likelihood("icrt", "nll 4"), likelihood("clone")),
        least=1.0,
        no_peer=NO_ICRT,
    ),
    Row(
        *("ICRT", IN_CONTEXT, "score prompted by 4 recorded episodes ÷ by none"),
        *(at_end("icrt"), at_end("icrt-unprompted")),
        least=1.0,
        no_peer=NO_ICRT,
    ),
    Row(
        *("ICRT", IN_CONTEXT, "held-out acts: score prompted by 4 recorded episodes ÷ by none"),
        *(held_out("icrt"), held_out("icrt-unprompted")),
        least=1.0,
        no_peer=NO_ICRT,
    ),
    Row(
        *("ICRT", IN_CONTEXT, "held-out acts: score prompted by 4 ÷ the clone's"),
        *(held_out("icrt"), held_out("clone")),
        least=1.0,
        no_peer=NO_ICRT,
    ),
]


def names() -> list[str]:
    """The configurations of all rows, each once, in the rows' order; baselines come first."""
    found = [each.name for row in ROWS for each in (row.to, row.of)]
    peers = [row.peer for row in ROWS if row.peer]
    return list(dict.fromkeys([*found, *peers]))

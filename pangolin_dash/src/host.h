/* Only in the library for other machines: many worlds side by side under the contest's rules.
   pangolin_dash/compile/host.py has the same structures. */
#ifndef HOST_H
#define HOST_H

#include "world.h"

typedef __UINT64_TYPE__ u64;

#define FRAME_SKIP 4

/* How an episode ended. */
enum { RUNNING, DIED, FINISHED, TIME_OVER, NO_NEW_GROUND };

/* One timestep of a route through a level. */
struct RoutePoint {
    s16 x, y;
    s16 vx, vy; /* 1/256 pixel a frame */
    u8 on_ground, levers, pad, spare;
};

/* A level's route; `count` is 0 where there is none. */
struct Route {
    const struct RoutePoint *points;
    const u32 *columns; /* points of 32-pixel column c: order[columns[c]] up to order[columns[c + 1]] */
    const u16 *order;
    const u16 *levers; /* the numbers of the level's levers among its objects */
    u16 count, n_levers;
};

/* A world and its episode. `game` is last: a save-state ends with the used part of its map. */
struct Slot {
    double score;  /* sum of the contest's rewards */
    u32 furthest;  /* highest progress seen, 1/4096 point */
    u32 length;    /* timesteps */
    u32 idle;      /* timesteps since there was new ground, in the level or along the route */
    u16 reached;   /* point of the route */
    u8 held;       /* pad of the last timestep */
    u8 fresh;      /* no timestep was played: nothing is held */
    u8 over;       /* how the episode ended */
    u16 still;     /* timesteps since there was new ground in the level */
    struct World game;
};

struct Batch {
    const struct Level *levels;
    const struct Route *routes;
    u8 *slots, *starts; /* count * stride bytes each; `starts`: what each world goes back to */
    u64 stride;
    u64 *random; /* a generator's state for each world */
    /* what the last timestep brought, one for each world */
    float *rewards; /* the contest's */
    float *ground;  /* points of new ground */
    float *along;   /* points of new ground along the route; as `ground` where there is none */
    double *scores; /* of the episode, its end included */
    u32 *lengths;
    u8 *over, *repeated;
    u32 count;
    u32 sticky; /* probability that the last pad is held for a frame longer, in 1/2^32 */
    u32 time_limit, patience; /* timesteps */
    u32 on_screen;            /* whether observations tell only what a frame shows */
    /* with frames */
    const u16 *clocks; /* for each level: the animations' clock at its start */
    u64 view;          /* where in a slot's row its View begins; `stride` without frames */
};

/* guide.c */
void guide_start(const struct Route *route, struct Slot *slot);
u8 guide_follow(const struct Route *route, struct Slot *slot);
u8 levers_pulled(const struct Route *route);

/* observe.c */
u32 observation_size(u8 on_screen);
void observe(const struct Slot *slot, u32 time_limit, u8 on_screen, float *out);

/* scene.c */
void scene(u8 *blocks, s16 *things, u32 most, u8 *camera);

/* view.c: with frames, the pictures follow the worlds */
#ifdef FRAMES
void view_enter(const struct Batch *b, struct Slot *slot);
void view_start(void);
void view_moved(void);
void view_frame(const struct Batch *b, u8 shown);
#else
static inline void view_enter(const struct Batch *b, struct Slot *slot) { (void)b, (void)slot; }
static inline void view_start(void) {}
static inline void view_moved(void) {}
static inline void view_frame(const struct Batch *b, u8 shown) { (void)b, (void)shown; }
#endif

#endif

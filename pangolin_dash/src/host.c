/* Only in the library for other machines: what pangolin_dash/simulator.py calls. */
#include "host.h"

_Thread_local struct World *current_world;
_Thread_local const struct Level *current_levels;

static struct Slot *enter(const struct Batch *b, u32 i)
{
    struct Slot *slot = (struct Slot *)(b->slots + b->stride * i);
    current_levels = b->levels;
    current_world = &slot->game;
    view_enter(b, slot);
    return slot;
}

static const struct Route *route_of(const struct Batch *b)
{
    return &b->routes[world.level];
}

/* Bytes of a slot whose level has so many columns: the map's unused end need not be copied. */
u32 slot_size(u32 columns)
{
    return (u32)__builtin_offsetof(struct Slot, game.map) + columns * MAP_ROWS;
}

/* One frame of the game: what its picture needs, then the next state of the world. */
static void advance(const struct Batch *b, u8 pad)
{
    view_frame(b, 0);
    level_step(pad);
    view_moved();
}

/* Begin an episode where the world is. */
void slot_begin(const struct Batch *b, u32 i)
{
    struct Slot *slot = enter(b, i);
    slot->score = 0;
    slot->furthest = world.progress;
    slot->length = slot->idle = slot->still = 0;
    slot->held = slot->over = 0;
    slot->fresh = 1;
    guide_start(route_of(b), slot);
}

/* Start a level as a reset of the emulator does: the start is seen, and one frame passes. */
void slot_load(const struct Batch *b, u32 i, u32 level)
{
    enter(b, i);
    world.lives = 3;
    world.score = 0;
    level_load(level);
    publish();
    view_start();
    view_frame(b, 1);
    advance(b, 0);
    slot_begin(b, i);
}

/* Hold the pad for some frames; stops early at a lost life or the level's end. Returns the frames
   played. The variables are those after the last frame, which the emulator shows one frame later. */
s32 slot_hold(const struct Batch *b, u32 i, u8 pad, s32 frames)
{
    s32 played;
    enter(b, i);
    for (played = 0; played < frames && !world.ended && !world.player.dead; played++)
        advance(b, pad);
    publish();
    view_frame(b, 1);
    return played;
}

/* Make the picture of a world whose memory came without one: it shows the world as it is. */
void slot_redraw(const struct Batch *b, u32 i)
{
    enter(b, i);
    view_start();
    view_frame(b, 1);
}

/* How many levers are pulled: the map differs with them. */
u8 slot_levers(const struct Batch *b, u32 i)
{
    enter(b, i);
    return levers_pulled(route_of(b));
}

/* The next number of splitmix64 (Steele, Lea and Flood 2014), its upper half. */
static u32 draw(u64 *state)
{
    u64 z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (u32)((z ^ (z >> 31)) >> 32);
}

/* One timestep of the world that `slot` holds, as the contest's environment plays it: the emulator
   shows the numbers of a frame, then the game computes the next one. Returns the reward. */
static double play(const struct Batch *b, struct Slot *slot, u8 pad, u8 repeat)
{
    struct Vars *v = &world.vars;
    u32 progress = v->progress, time_left = v->time_left;
    u8 lives = v->lives, first = repeat ? slot->held : pad;
    s32 i;
    for (i = 0; i < FRAME_SKIP; i++) {
        publish();
        if (v->level_end || v->lives < lives) {
            slot->over = v->level_end ? FINISHED : DIED;
            view_frame(b, 1);
            break;
        }
        if (i == FRAME_SKIP - 1)
            view_frame(b, 1);
        advance(b, i ? pad : first);
    }
    slot->held = pad;
    slot->fresh = 0;
    return ((double)v->progress - progress) / 4096 + ((double)v->time_left - time_left) / 18;
}

static void step(const struct Batch *b, u32 i, u8 pad, const u8 *repeats)
{
    struct Slot *slot = enter(b, i);
    const struct Route *route = route_of(b);
    u32 furthest = slot->furthest;
    u8 repeat = 0;
    u16 points;
    double reward;

    b->rewards[i] = b->ground[i] = b->along[i] = 0;
    b->repeated[i] = 0;
    b->over[i] = slot->over;
    if (slot->over)
        return;
    if (!slot->fresh)
        repeat = repeats ? repeats[i] : draw(&b->random[i]) < b->sticky;
    reward = play(b, slot, pad, repeat);
    slot->score += reward;
    slot->length++;
    slot->idle++;
    slot->still += slot->still < 0xFFFF;
    if (world.vars.progress > furthest) {
        slot->furthest = world.vars.progress;
        slot->idle = slot->still = 0;
    }
    points = guide_follow(route, slot);
    if (points)
        slot->idle = 0;
    if (!slot->over && slot->length >= b->time_limit)
        slot->over = TIME_OVER;
    if (!slot->over && b->patience && slot->idle >= b->patience)
        slot->over = NO_NEW_GROUND;
    b->rewards[i] = (float)reward;
    b->ground[i] = (float)(slot->furthest - furthest) / 4096;
    b->along[i] = route->count ? 9000.0f * points / (float)(route->count - 1) : b->ground[i];
    b->scores[i] = slot->score;
    b->lengths[i] = slot->length;
    b->over[i] = slot->over;
    b->repeated[i] = repeat;
}

static void observe_one(const struct Batch *b, u32 i, float *out)
{
    const struct Slot *slot = enter(b, i);
    observe(slot, b->time_limit, b->on_screen != 0, out);
}

/* One timestep in every world.

   repeats: whether the last pad is held for a frame longer, for each world; drawn where it is NULL.
   restart: a world whose episode ends goes back to its start at once; else it stays as it is.
   out: where the observations go, or NULL; at once, while the world lies in the cache. */
void batch_step(const struct Batch *b, const u8 *pads, const u8 *repeats, u8 restart, float *out)
{
    u32 i, size = observation_size(b->on_screen != 0);
    for (i = 0; i < b->count; i++) {
        step(b, i, pads[i], repeats);
        if (restart && b->over[i]) {
            const struct Slot *start = (const struct Slot *)(b->starts + b->stride * i);
            u32 columns = b->levels[start->game.level].columns;
            u8 *to = b->slots + b->stride * i;
            __builtin_memcpy(to, start, slot_size(columns));
            __builtin_memcpy(to + b->view, (const u8 *)start + b->view, b->stride - b->view);
        }
        if (out)
            observe_one(b, i, out + (u64)size * i);
    }
}

void batch_observe(const struct Batch *b, float *out)
{
    u32 i, size = observation_size(b->on_screen != 0);
    for (i = 0; i < b->count; i++)
        observe_one(b, i, out + (u64)size * i);
}

/* What every world's frame shows: classes of blocks, 64 x 64; `most` things, type, x and y each, type -1
   after the last one; and where in a block the camera is, x and y. */
void batch_scene(const struct Batch *b, u8 *blocks, s16 *things, u32 most, u8 *cameras)
{
    u32 i;
    for (i = 0; i < b->count; i++) {
        enter(b, i);
        scene(blocks + (u64)i * 64 * 64, things + (u64)i * 3 * most, most, cameras + i * 2);
    }
}

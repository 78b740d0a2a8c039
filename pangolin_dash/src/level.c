/* An act from its start to its end: loading, the order of one frame, and the contest's numbers. */
#include "world.h"

#ifndef HOST
struct World world __attribute__((section(".vars")));
#endif

#define P world.player

void level_load(LevelNumber index)
{
    const struct Level *level = &levels[index];
    const u8 *from = level->map;
    u16 i, size = level->columns << 5;
    u8 lives = world.lives;
    u32 score = world.score;
    u8 *clear = (u8 *)&world.player;

    while (clear < world.map)
        *clear++ = 0;
    world.lives = lives;
    world.score = score;
    world.level = index;
    world.zone = level->zone;
    world.act = level->act;
    for (i = 0; i < size; i++)
        world.map[i] = from[i];
    objects_load(level);
    player_start(level->start_x, level->start_y);
    camera_snap();
}

/* The progress is the part of the level that is behind the player, in units of 1/4096 point: a
   level's length divides 9000 * 4096, so the number is exact. */
static void measure_progress(void)
{
    const struct Level *level = &levels[world.level];
    s16 covered = INT(P.x) - level->start_x, length = level->end_x - level->start_x;
    if (covered < 0)
        covered = 0;
    if (covered >= length) {
        covered = length;
        if (!world.ended && !P.dead) {
            world.ended = 1;
            world.time_left = world.frame < FRAME_LIMIT ? FRAME_LIMIT - world.frame : 0;
        }
    }
    if (!world.ended)
        world.progress = (u32)(u16)covered * level->points_per_pixel;
    else
        world.progress = (u32)(u16)length * level->points_per_pixel;
}

void level_step(u8 pad)
{
    if (world.frame < 65535)
        world.frame++;
    world.jolt = 0;
    if (world.ended)
        pad = 0;
    objects_step();
    player_step(pad);
    objects_touch();
    measure_progress();
    camera_step();
}

/* A speed in 1/256 pixels, without a shift of a long in RAM by 8. */
static s16 per_256(fixed speed)
{
    volatile fixed copy = speed;
    fixed high = copy >> 4;
    return (s16)(high >> 4);
}

/* Publish the finished frame's numbers in the variables that stable-retro reads. Called at the start of the vertical
   blank, when the picture of the same frame appears: all of them change at once. */
void publish(void)
{
    struct Vars *v = &world.vars;
    v->progress = world.progress;
    v->time_left = world.time_left;
    v->score = world.score;
    v->x = INT(P.x);
    v->y = INT(P.y);
    v->speed_x = per_256(P.on_ground ? P.ground : P.vx);
    v->speed_y = per_256(P.on_ground ? 0 : P.vy);
    v->screen_x = world.cam_x;
    v->screen_y = world.cam_y;
    v->end_x = levels[world.level].end_x;
    v->rings = world.rings;
    v->frame = world.frame;
    v->zone = world.zone;
    v->act = world.act;
    v->on_ground = P.on_ground;
    v->rolling = player_curled();
    v->lives = world.lives;
    v->level_end = world.ended;
    v->hurt = P.hurt != 0;
}

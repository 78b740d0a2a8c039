/* Only in the library for the build machine: the functions that pangolin_dash/simulator.py calls. */
#include "world.h"

u32 host_world_size(void)
{
    /* the map's unused end need not be copied with every save-state */
    return (u32)(__UINTPTR_TYPE__)(world.map - (u8 *)&world)
         + (u32)levels[world.level].columns * MAP_ROWS;
}

void host_load(u8 level)
{
    world.lives = 3;
    world.score = 0;
    level_load(level);
    publish();
}

/* Hold the pad for some frames; stops early at a lost life or the level's end. Returns the frames
   played. */
s32 host_hold(u8 pad, s32 frames)
{
    s32 i;
    for (i = 0; i < frames && !world.ended && !world.player.dead; i++)
        level_step(pad);
    publish();
    return i;
}

/* How many levers are pulled: the map differs with them. */
u8 host_levers(void)
{
    u8 pulled = 0;
    s16 i;
    for (i = 0; i < world.n_objects; i++)
        if (world.objects[i].type == OBJ_LEVER)
            pulled += world.objects[i].state;
    return pulled;
}

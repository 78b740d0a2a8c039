/* The camera keeps the player in the middle of the screen and does not shake. */
#include "world.h"

#define MAX_MOVE 15 /* pixels a frame: video.c draws at most one new row and column of blocks */

static s16 limit(s16 v, s16 low, s16 high)
{
    return v < low ? low : v > high ? high : v;
}

static s16 target_x(void)
{
    return limit(INT(world.player.x) - SCREEN_W / 2, 0,
                 (s16)(levels[world.level].columns << 4) - SCREEN_W);
}

static s16 target_y(void)
{
    return limit(INT(world.player.y) - 132, 0, LEVEL_HEIGHT - SCREEN_H);
}

void camera_snap(void)
{
    world.cam_x = target_x();
    world.cam_y = target_y();
    world.jolt = 1;
}

void camera_step(void)
{
    s16 dx = target_x() - world.cam_x, dy = target_y() - world.cam_y, reach;
    if (world.player.dead)
        return;
    world.cam_x += limit(dx, -MAX_MOVE, MAX_MOVE);
    /* In the air the camera waits until the player nears an edge, so that hops do not shake it. */
    if (world.player.on_ground) {
        reach = absf(world.player.ground) > FIX(6.0) ? 10 : 6;
        world.cam_y += limit(dy, -reach, reach);
    } else if (dy < -36) {
        world.cam_y += limit(dy + 36, -MAX_MOVE, 0);
    } else if (dy > 28) {
        world.cam_y += limit(dy - 28, 0, MAX_MOVE);
    }
    world.cam_y = limit(world.cam_y, 0, LEVEL_HEIGHT - SCREEN_H);
}

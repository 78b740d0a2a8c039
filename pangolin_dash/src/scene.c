/* What a frame shows, as labels for whoever learns to see: the class of the block at every place of the
   frame as agents see it, 64 x 64, and the things in sight. The frame shows the world as the variables
   were published last, the world itself is a frame ahead. */
#include "host.h"

enum { SIZE = 64, ACROSS = SCREEN_W / SIZE, LINES = 7 }; /* 7 lines are two rows */

/* agent/models/scene.py has the same classes, and the same types: objects between player and ring. */
enum { NOTHING, SOLID, SLOPE, ONE_WAY, LIQUID, BREAKABLE, DOOR, SPECIAL, MIRRORED };
enum { PLAYER = 0, RING = OBJ_HAZARD + 1 };

static u8 class_of(u8 flags)
{
    if (flags & B_DOOR)
        return DOOR;
    if (flags & B_BREAK)
        return BREAKABLE;
    if (flags & B_SPECIAL)
        return flags & B_MIRROR ? MIRRORED : SPECIAL;
    if (flags & B_SLOPE)
        return SLOPE;
    if (flags & B_SOLID)
        return SOLID;
    if (flags & B_ONEWAY)
        return ONE_WAY;
    return flags & B_LIQUID ? LIQUID : NOTHING;
}

/* The classes at the middles of the frame's places, row after row. */
static void blocks_shown(u8 *out)
{
    s16 x, y, columns = (s16)levels[world.level].columns;
    for (y = 0; y < SIZE; y++)
        for (x = 0; x < SIZE; x++) {
            s16 column = (world.vars.screen_x + x * ACROSS + ACROSS / 2) >> 4;
            s16 row = (world.vars.screen_y + (y * LINES + 3) / 2) >> 4;
            u8 inside = column >= 0 && column < columns && row >= 0 && row < MAP_ROWS;
            *out++ = inside ? class_of(block_flags[world.map[column << 5 | row]]) : NOTHING;
        }
}

/* Type, x and y on the screen; what lies beyond it, or finds no room any more, is left out. */
static s16 *put(s16 *out, const s16 *end, s16 type, s16 x, s16 y)
{
    s16 at_x = x - world.vars.screen_x, at_y = y - world.vars.screen_y;
    if (out == end || at_x < 0 || at_x >= SCREEN_W || at_y <= 0 || at_y >= SCREEN_H)
        return out;
    *out++ = type, *out++ = at_x, *out++ = at_y;
    return out;
}

static void things_shown(s16 *out, u32 most)
{
    const struct Level *level = &levels[world.level];
    const s16 *end = out + 3 * most;
    u8 kind = zone_hazard[world.zone];
    s16 i;
    out = put(out, end, PLAYER, world.vars.x, world.vars.y);
    for (i = world.first_object; i < world.n_objects; i++) {
        const struct Object *o = &world.objects[i];
        if (level->objects[i].x >= world.cam_x + SCREEN_W + 200)
            break;
        if (o->type == OBJ_HAZARD && (kind == HAZARD_BITE || kind == HAZARD_SPOUT) && !o->state)
            continue; /* drawn by nobody */
        if (o->type)
            out = put(out, end, o->type, o->x - o->dx, o->y - o->dy);
    }
    for (i = world.first_ring; i < world.n_rings; i++) {
        if (level->rings[i].x >= world.vars.screen_x + SCREEN_W + 16)
            break;
        if (!world.ring_taken[i])
            out = put(out, end, RING, level->rings[i].x, level->rings[i].y);
    }
    while (out < end)
        *out++ = -1;
}

void scene(u8 *blocks, s16 *things, u32 most, u8 *camera)
{
    blocks_shown(blocks);
    things_shown(things, most);
    camera[0] = world.vars.screen_x & 15;
    camera[1] = world.vars.screen_y & 15;
}

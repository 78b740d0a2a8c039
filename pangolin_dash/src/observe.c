/* What a player who reads the game's memory knows, as numbers of about -3 to 3, for learning.

   In this order: the player and the episode (OWN), the blocks around (TILES, EXTRAS), the floor to both
   sides (PROFILE, EDGES), the nearest objects of each type (OBJECTS, RINGS). Places are relative to the
   player.

   Who is to teach somebody that sees frames only must not act on what no frame shows: it then tells
   only what lies on the screen, and what rewards tell: how far the player is behind the new ground, and
   for how long there was none. */
#include "host.h"

#define P world.player

#define ZONES 6
#define OWN (29 + ZONES)
#define TILE_LEFT 7 /* blocks */
#define TILE_COLUMNS 20
#define TILE_ABOVE 8
#define TILE_ROWS 13
#define EXTRA_LEFT 4
#define EXTRA_COLUMNS 14
#define EXTRA_ABOVE 3
#define EXTRA_ROWS 7
#define PROFILE_LEFT 6
#define PROFILE_COLUMNS 30
#define EDGES 5
#define RING_SLOTS 2

#define TYPES 10
#define MOST 4 /* slots of a type */
/* Slots by type of object, and numbers in a slot beside presence, dx and dy. */
static const u8 SLOTS[TYPES] = {0, 2, 1, 3, 3, 2, 4, 4, 1, 3};
static const u8 MORE[TYPES] = {0, 2, 2, 0, 3, 6, 8, 4, 1, 6};

/* What may be told of: pixels of the level, and blocks whose middle lies there. */
static _Thread_local struct {
    u8 on_screen; /* only what a frame shows */
    s16 left, right, top, bottom;
    s16 first_column, end_column, first_row, end_row;
} sight;

static void look(u8 on_screen)
{
    sight.on_screen = on_screen;
    sight.left = on_screen ? world.cam_x : -0x4000;
    sight.right = on_screen ? world.cam_x + SCREEN_W : 0x4000;
    sight.top = on_screen ? world.cam_y : -0x4000;
    sight.bottom = on_screen ? world.cam_y + SCREEN_H : 0x4000;
    sight.first_column = (sight.left + 7) >> 4;
    sight.end_column = (sight.right + 7) >> 4;
    sight.first_row = (sight.top + 7) >> 4;
    sight.end_row = (sight.bottom + 7) >> 4;
}

/* Whether something of about the size of a block is seen, if only in part. */
static u8 seen(s16 x, s16 y)
{
    return x >= sight.left - 8 && x < sight.right + 8 && y > sight.top && y < sight.bottom + 16;
}

static float bound(float v, float limit)
{
    return v > limit ? limit : v < -limit ? -limit : v;
}

static float px(s32 distance)
{
    return bound((float)distance / 64, 4);
}

u32 observation_size(u8 on_screen)
{
    u32 type, size = OWN + on_screen + TILE_COLUMNS * TILE_ROWS + EXTRA_COLUMNS * EXTRA_ROWS
                   + 2 * PROFILE_COLUMNS + EDGES + 3 * RING_SLOTS;
    for (type = 0; type < TYPES; type++)
        size += SLOTS[type] * (3 + MORE[type]);
    return size;
}

static float *own(const struct Slot *slot, u32 time_limit, float *o)
{
    static const float COS[5] = {0.719f, 0.891f, 1, 0.891f, 0.719f};
    static const float SIN[5] = {0.719f, 0.4375f, 0, -0.4375f, -0.719f};
    float ground = (float)P.ground / 65536 / 8, special = 0;
    u8 i = P.angle + 2;
    if (P.surface & B_SPECIAL)
        special = P.surface & B_MIRROR ? -1 : 1;
    *o++ = (float)(P.x & 0xFFFFF) / 0x100000;
    *o++ = (float)(P.y & 0xFFFFF) / 0x100000;
    *o++ = P.on_ground ? ground * COS[i] : (float)P.vx / 65536 / 8;
    *o++ = P.on_ground ? ground * SIN[i] : (float)P.vy / 65536 / 8;
    *o++ = P.on_ground ? ground : 0;
    *o++ = (float)P.angle / 2;
    *o++ = P.on_ground;
    *o++ = P.rolling;
    *o++ = P.jumping;
    *o++ = P.facing_left ? -1 : 1;
    *o++ = P.in_liquid != 0;
    *o++ = P.low_gravity;
    *o++ = P.skidding;
    *o++ = P.crouching;
    *o++ = (float)P.lock / 16;
    *o++ = (float)P.hurt / 40;
    *o++ = (float)P.safe / 130;
    *o++ = P.ride >= 0 && P.on_ground;
    *o++ = (slot->held & PAD_RIGHT) != 0;
    *o++ = (slot->held & PAD_LEFT) != 0;
    *o++ = (slot->held & PAD_DOWN) != 0;
    *o++ = (slot->held & PAD_JUMP) != 0;
    *o++ = (P.pad & PAD_JUMP) != 0;
    *o++ = P.on_ground ? special : 0;
    *o++ = world.rings != 0;
    *o++ = bound((float)world.rings / 20, 1);
    if (sight.on_screen) {
        *o++ = (float)(INT(P.x) - world.cam_x) / SCREEN_W;
        *o++ = bound((float)(INT(P.y) - world.cam_y) / SCREEN_H, 2);
        /* Both can be told from the rewards: agent.models.controller.Proprioception. */
        *o++ = bound((float)slot->still / 100, 2);
        *o++ = bound((float)(slot->furthest - world.vars.progress) / 4096 / 200, 4);
    } else {
        *o++ = bound((float)P.y / 65536 / 512, 2);
        *o++ = bound((float)slot->idle / 100, 2);
        *o++ = time_limit ? 1 - bound((float)slot->length / (float)time_limit, 1) : 1;
    }
    for (i = 0; i < ZONES; i++)
        *o++ = world.zone == i;
    return o;
}

/* By a block's number. */
static float hard[ZONES][256], extra[256];

static float hardness(u8 zone, u8 flags)
{
    static const float LIQUID[3] = {-1, -0.4f, -0.7f};
    if (flags & B_SLOPE)
        return 0.7f;
    if (flags & B_SOLID)
        return 1;
    if (flags & B_ONEWAY)
        return 0.4f;
    if (flags & B_LIQUID)
        return LIQUID[zone_liquid[zone]];
    return 0;
}

__attribute__((constructor)) static void fill_tables(void)
{
    u32 zone, block;
    for (block = 0; block < 256; block++) {
        u8 flags = block_flags[block];
        for (zone = 0; zone < ZONES; zone++)
            hard[zone][block] = hardness((u8)zone, flags);
        extra[block] = flags & B_BREAK ? 2 : flags & B_DOOR ? -2 : 0;
        if (flags & B_SPECIAL)
            extra[block] = flags & B_MIRROR ? -1 : 1;
    }
}

/* The blocks of a column, or NULL beside the map. */
static const u8 *blocks_of(s16 column)
{
    if (column < 0 || column >= (s16)levels[world.level].columns)
        return 0;
    return &world.map[column << 5];
}

/* A value for each block of a part of the map; nothing above and below it, and out of sight. */
static inline __attribute__((always_inline)) float *part(const float *values, float beside, s16 column, s16 columns, s16 row, s16 rows,
                   float *o)
{
    s16 top = sight.first_row > 0 ? sight.first_row : 0, i;
    s16 end = sight.end_row < MAP_ROWS ? sight.end_row : MAP_ROWS;
    s16 first = row < top ? top - row : 0, last = row + rows > end ? end - row : rows;
    for (; columns--; column++, o += rows) {
        const u8 *blocks = blocks_of(column);
        if (column < sight.first_column || column >= sight.end_column) {
            for (i = 0; i < rows; i++)
                o[i] = 0;
            continue;
        }
        if (blocks && !first && last == rows) {
            for (i = 0; i < rows; i++)
                o[i] = values[blocks[row + i]];
            continue;
        }
        for (i = 0; i < rows; i++)
            o[i] = i < first || i >= last ? 0 : blocks ? values[blocks[row + i]] : beside;
    }
    return o;
}

static float *tiles(float *o)
{
    s16 x = INT(P.x) >> 4, y = (INT(P.y) - 1) >> 4;
    o = part(hard[world.zone], 1, x - TILE_LEFT, TILE_COLUMNS, y - TILE_ABOVE, TILE_ROWS, o);
    return part(extra, 0, x - EXTRA_LEFT, EXTRA_COLUMNS, y - EXTRA_ABOVE, EXTRA_ROWS, o);
}

/* For each column in sight how deep the first floor from 6 blocks above the feet on lies, and whether
   none is seen, or liquid before it. */
static float *profile(float *o)
{
    s16 column, row, x = INT(P.x) >> 4, y = (INT(P.y) - 1) >> 4;
    s16 top = sight.first_row > 0 ? sight.first_row : 0;
    s16 end = sight.end_row < MAP_ROWS ? sight.end_row : MAP_ROWS;
    for (column = x - PROFILE_LEFT; column < x - PROFILE_LEFT + PROFILE_COLUMNS; column++) {
        const u8 *blocks = blocks_of(column);
        u8 flags = 0, inside = 1;
        if (column < sight.first_column || column >= sight.end_column) {
            *o++ = 0, *o++ = 0;
            continue;
        }
        row = y - 6 < top ? top : y - 6;
        for (; blocks && row < end; row++) {
            flags = block_flags[blocks[row]];
            if (flags & B_LIQUID)
                break;
            if (!(flags & (B_SOLID | B_SLOPE | B_ONEWAY)))
                inside = 0;
            else if (!inside || row > y)
                break;
        }
        *o++ = px((row << 4) - INT(P.y));
        *o++ = row >= end || flags & B_LIQUID;
    }
    return o;
}

/* How far the floor goes on in a direction, and whether it rises (1) or falls (-1) there. */
static float *edge(float *o, s16 floor, s16 direction)
{
    s16 distance, next;
    u8 block;
    float kind = 0;
    for (distance = 4; distance < 160; distance += distance < 48 ? 4 : 8) {
        s16 x = INT(P.x) + direction * distance;
        if (x < 0 || x < sight.left || x >= sight.right || x >= (s16)(levels[world.level].columns << 4))
            break;
        if (floor < sight.top + 16 || floor >= sight.bottom - 16)
            break;
        next = floor_at(x, floor, floor - 3, &block);
        if (next == NO_FLOOR || next > floor + 12) {
            kind = -1;
            break;
        }
        if (next < floor - 13) {
            kind = 1;
            break;
        }
        floor = next;
    }
    *o++ = (float)distance / 64;
    *o++ = kind;
    return o;
}

static float *edges(float *o)
{
    s16 x = INT(P.x), y = INT(P.y), below, floor = NO_FLOOR;
    u8 block;
    /* floor_at also looks at the block below. */
    s16 bottom = sight.bottom - 16 < LEVEL_HEIGHT ? sight.bottom - 16 : LEVEL_HEIGHT;
    for (below = y; below < bottom && floor == NO_FLOOR; below += 16)
        floor = floor_at(x, below, y - 3, &block);
    if (P.on_ground && P.ride >= 0)
        floor = NO_FLOOR;
    *o++ = px(floor == NO_FLOOR ? 256 : floor - y);
    if (floor == NO_FLOOR) {
        *o++ = 0, *o++ = -1, *o++ = 0, *o++ = -1;
        return o;
    }
    o = edge(o, floor, 1);
    return edge(o, floor, -1);
}

/* (range * sine(phase)) as objects.c computes it. */
static s16 swing(s16 range, s32 phase)
{
    return (s16)(range * sine[(u8)phase]) >> 7;
}

static float *more(u8 type, s16 index, float *o)
{
    const struct Object *t = &world.objects[index];
    const struct ObjectDef *d = &levels[world.level].objects[index];
    s32 frame = world.frame + d->b, i;
    switch (type) {
    case OBJ_SPRING_UP:
    case OBJ_SPRING_SIDE:
        *o++ = (float)t->param / 10 * (type == OBJ_SPRING_SIDE && d->a ? -1 : 1);
        *o++ = (float)t->timer / 12;
        break;
    case OBJ_WALKER:
        *o++ = t->speed * (d->a > 1 ? 2 : d->a ? 1 : 0.5f);
        *o++ = px(d->x - t->param - t->x);
        *o++ = px(d->x + t->param - t->x);
        break;
    case OBJ_FLYER:
        for (i = 4; i <= 16; i *= 2) {
            *o++ = px(d->x + swing(t->param, frame + i) - t->x);
            *o++ = px(d->y + swing(d->a, 2 * (frame + i)) - t->y);
        }
        break;
    case OBJ_PLATFORM:
        *o++ = P.on_ground && P.ride == index;
        *o++ = t->param ? 1 : -1;
        *o++ = (float)t->dx / 4;
        *o++ = (float)t->dy / 4;
        for (i = 8; i <= 64; i *= 2) {
            s16 moved = swing(d->a, frame + i);
            *o++ = px(t->param ? d->y + moved - t->y : d->x + moved - t->x);
        }
        break;
    case OBJ_CRUMBLE:
        *o++ = P.on_ground && P.ride == index;
        *o++ = t->state == 1 ? (float)(27 - t->timer) / 27 : 0;
        *o++ = t->state == 2;
        *o++ = t->state == 2 ? (float)(180 - t->timer) / 64 : 0;
        break;
    case OBJ_LEVER:
        *o++ = t->state;
        break;
    case OBJ_HAZARD: {
        u8 kind = zone_hazard[world.zone], phase = (u8)frame;
        u8 timed = kind == HAZARD_BITE || kind == HAZARD_SPOUT;
        *o++ = timed ? (phase < 112 ? 112 - phase : phase - 256) / 64.0f : 0; /* frames to a switch */
        *o++ = timed ? phase < 112 : t->state / 2.0f;
        *o++ = (float)t->timer / 64 * !timed;
        *o++ = kind == HAZARD_SPOUT ? (float)t->param / 64 : 0;
        if (kind != HAZARD_TELEPORT) {
            *o++ = (float)t->speed / 8, *o++ = 0;
        } else if (sight.on_screen) {
            *o++ = 0, *o++ = 0; /* no frame shows where it leads to */
        } else {
            *o++ = px((d->a - INT(P.x)) / 4), *o++ = px(d->b - INT(P.y));
        }
    }
    }
    return o;
}

/* The nearest objects of each type; those behind the player count as twice as far. */
static float *objects(float *o)
{
    s16 nearest[TYPES][MOST], keys[TYPES][MOST];
    u8 counts[TYPES] = {0};
    s16 x = INT(P.x), i, type;
    for (i = world.first_object; i < world.n_objects; i++) {
        const struct Object *t = &world.objects[i];
        s16 dx = t->x - x, key = dx < -32 ? -2 * dx : abs16(dx), k;
        if (levels[world.level].objects[i].x >= world.cam_x + SCREEN_W + 200)
            break;
        type = t->type;
        if (!SLOTS[type] || !seen(t->x, t->y))
            continue;
        k = counts[type];
        if (k == SLOTS[type]) {
            if (keys[type][--k] <= key)
                continue;
        } else {
            counts[type]++;
        }
        for (; k > 0 && keys[type][k - 1] > key; k--) {
            keys[type][k] = keys[type][k - 1];
            nearest[type][k] = nearest[type][k - 1];
        }
        keys[type][k] = key;
        nearest[type][k] = i;
    }
    for (type = 1; type < TYPES; type++)
        for (i = 0; i < SLOTS[type]; i++) {
            s16 rest;
            if (i < counts[type]) {
                const struct Object *t = &world.objects[nearest[type][i]];
                *o++ = 1;
                *o++ = px(t->x - x);
                *o++ = px(t->y - INT(P.y));
                o = more((u8)type, nearest[type][i], o);
            } else {
                for (rest = 0; rest < 3 + MORE[type]; rest++)
                    *o++ = 0;
            }
        }
    return o;
}

/* The next rings to the right, from 2 blocks behind the player on. */
static float *rings(float *o)
{
    const struct Level *level = &levels[world.level];
    s16 x = INT(P.x), i, found = 0;
    for (i = world.first_ring; i < world.n_rings && found < RING_SLOTS; i++) {
        if (world.ring_taken[i] || level->rings[i].x < x - 32)
            continue;
        if (level->rings[i].x > x + 256)
            break;
        if (!seen(level->rings[i].x, level->rings[i].y))
            continue;
        *o++ = 1;
        *o++ = px(level->rings[i].x - x);
        *o++ = px(level->rings[i].y - INT(P.y));
        found++;
    }
    for (; found < RING_SLOTS; found++)
        *o++ = 0, *o++ = 0, *o++ = 0;
    return o;
}

void observe(const struct Slot *slot, u32 time_limit, u8 on_screen, float *out)
{
    float *o;
    look(on_screen);
    o = own(slot, time_limit, out);
    o = tiles(o);
    o = profile(o);
    o = edges(o);
    o = objects(o);
    rings(o);
}

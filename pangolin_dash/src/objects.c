/* Rings, springs, spikes, enemies, platforms, levers and the hazards of each zone. */
#include "world.h"

#define P world.player
#define NEAR 200 /* pixels beyond the screen's centre in which objects live */

/* Where an object started lies in its definition in ROM. */
#define DEF(i) (&levels[world.level].objects[i])

enum { CRUMBLE_REST, CRUMBLE_SHAKES, CRUMBLE_FALLS };

void objects_load(const struct Level *level)
{
    s16 i;
    world.n_objects = level->n_objects;
    world.n_rings = level->n_rings;
    world.first_object = world.first_ring = 0;
    for (i = 0; i < world.n_objects; i++) {
        struct Object *o = &world.objects[i];
        const struct ObjectDef *d = &level->objects[i];
        o->x = d->x;
        o->y = d->y;
        o->type = d->type;
        o->param = d->param;
        o->dx = o->dy = o->state = o->timer = o->speed = 0;
    }
    for (i = 0; i < MAX_RINGS; i++)
        world.ring_taken[i] = 0;
    for (i = 0; i < MAX_EFFECTS; i++)
        world.effects[i].kind = FX_NONE;
}

void add_effect(u8 kind, s16 x, s16 y, s16 dx, s16 dy)
{
    s16 i;
    for (i = 0; i < MAX_EFFECTS; i++) {
        struct Effect *e = &world.effects[i];
        if (e->kind == FX_NONE) {
            e->kind = kind;
            e->x = x;
            e->y = y;
            e->dx = dx;
            e->dy = dy;
            e->timer = kind == FX_LOST_RING ? 70 : 16;
            return;
        }
    }
}

static void effects_step(void)
{
    s16 i;
    for (i = 0; i < MAX_EFFECTS; i++) {
        struct Effect *e = &world.effects[i];
        if (e->kind == FX_NONE)
            continue;
        e->x += e->dx;
        e->y += e->dy;
        if (e->kind == FX_LOST_RING && !(e->timer & 7))
            e->dy++;
        if (!--e->timer)
            e->kind = FX_NONE;
    }
}

/* Definitions are sorted by x, so the live ones are a window that slides with the camera. */
static void slide_windows(void)
{
    const struct Level *level = &levels[world.level];
    s16 left = world.cam_x - NEAR;
    while (world.first_object < world.n_objects && level->objects[world.first_object].x < left)
        world.first_object++;
    while (world.first_object > 0 && level->objects[world.first_object - 1].x >= left)
        world.first_object--;
    while (world.first_ring < world.n_rings && level->rings[world.first_ring].x < left)
        world.first_ring++;
    while (world.first_ring > 0 && level->rings[world.first_ring - 1].x >= left)
        world.first_ring--;
}

/* (range * sine(phase)) in pixels; range is at most 127, the sine's amplitude 127. */
static s16 swing(s16 range, u8 phase)
{
    return (s16)(range * sine[phase]) >> 7;
}

static void walker_step(struct Object *o, const struct ObjectDef *d)
{
    /* param: half width of the beat in pixels; a: speed in pixels a frame, 0 means every other */
    if (d->a == 0 && world.frame & 1)
        return;
    if (!o->speed)
        o->speed = -1;
    o->x += d->a > 1 ? o->speed * 2 : o->speed;
    if (o->x <= d->x - d->param)
        o->speed = 1;
    else if (o->x >= d->x + d->param)
        o->speed = -1;
}

static void flyer_step(struct Object *o, const struct ObjectDef *d)
{
    u8 phase = (u8)(world.frame + d->b);
    s16 x = o->x;
    o->x = d->x + swing(d->param, phase);
    o->y = d->y + swing(d->a, (u8)(phase * 2));
    if (o->x != x)
        o->speed = o->x < x ? -1 : 1;
}

static void platform_step(struct Object *o, const struct ObjectDef *d)
{
    /* param: 0 moves sideways, 1 up and down; a: range; b: phase */
    u8 phase = (u8)(world.frame + d->b);
    s16 x = o->x, y = o->y;
    if (d->param)
        o->y = d->y + swing(d->a, phase);
    else
        o->x = d->x + swing(d->a, phase);
    o->dx = o->x - x;
    o->dy = o->y - y;
}

static void crumble_step(struct Object *o, const struct ObjectDef *d)
{
    if (o->state == CRUMBLE_SHAKES && ++o->timer > 26) {
        o->state = CRUMBLE_FALLS;
        o->timer = 0;
        o->speed = 0;
    } else if (o->state == CRUMBLE_FALLS) {
        if (o->timer & 1)
            o->speed++;
        if (o->y < LEVEL_HEIGHT + 64)
            o->y += o->speed;
        if (++o->timer == 180) { /* grows back */
            o->state = CRUMBLE_REST;
            o->y = d->y;
            o->timer = 0;
        }
    }
}

static void hazard_step(struct Object *o, const struct ObjectDef *d)
{
    u8 kind = zone_hazard[world.zone], phase = (u8)(world.frame + d->b);
    if (kind == HAZARD_BITE || kind == HAZARD_SPOUT) {
        o->state = phase < 112; /* out for 112 of 256 frames */
        o->timer = phase;
    } else if (kind == HAZARD_ICICLE) {
        if (o->state == 0 && abs16(INT(P.x) - o->x) < 44 && INT(P.y) > o->y)
            o->state = 1, o->timer = 0;
        else if (o->state == 1 && ++o->timer > 14)
            o->state = 2, o->speed = 0, o->timer = 0;
        else if (o->state == 2) {
            if (++o->timer & 1)
                o->speed++;
            if (o->y < LEVEL_HEIGHT + 64)
                o->y += o->speed;
            if (o->timer == 150)
                o->state = 0, o->y = d->y, o->timer = 0;
        }
    } else if (o->timer) {
        o->timer--;
    }
}

void objects_step(void)
{
    const struct Level *level = &levels[world.level];
    s16 i, right = world.cam_x + SCREEN_W + NEAR;
    slide_windows();
    effects_step();
    for (i = world.first_object; i < world.n_objects && level->objects[i].x < right; i++) {
        struct Object *o = &world.objects[i];
        switch (o->type) {
        case OBJ_WALKER: walker_step(o, DEF(i)); break;
        case OBJ_FLYER: flyer_step(o, DEF(i)); break;
        case OBJ_PLATFORM: platform_step(o, DEF(i)); break;
        case OBJ_CRUMBLE: crumble_step(o, DEF(i)); break;
        case OBJ_HAZARD: hazard_step(o, DEF(i)); break;
        case OBJ_SPRING_UP:
        case OBJ_SPRING_SIDE:
            if (o->timer)
                o->timer--;
        }
    }
}

/* The platform whose top the feet crossed, or -1. Platforms are 32 wide, their top is y - 16. */
s16 platform_under(s16 x, s16 old_y, s16 new_y)
{
    const struct Level *level = &levels[world.level];
    s16 i, right = world.cam_x + SCREEN_W + NEAR;
    for (i = world.first_object; i < world.n_objects && level->objects[i].x < right; i++) {
        struct Object *o = &world.objects[i];
        s16 top = o->y - 16;
        if (o->type != OBJ_PLATFORM && o->type != OBJ_CRUMBLE)
            continue;
        if (abs16(x - o->x) > 16 + FOOT || o->state == CRUMBLE_FALLS)
            continue;
        if (new_y >= top && old_y <= top + 3 + (o->dy < 0 ? -o->dy : 0)) {
            if (o->type == OBJ_CRUMBLE && o->state == CRUMBLE_REST)
                o->state = CRUMBLE_SHAKES;
            return i;
        }
    }
    return -1;
}

static void touch_enemy(struct Object *o)
{
    if (player_curled() || (!P.on_ground && P.vy > FIX(1.0) && INT(P.y) < o->y - 8)) {
        o->type = OBJ_NONE;
        world.score += 100;
        add_effect(FX_DUST, o->x, o->y - 8, 0, -1);
        if (!P.on_ground && P.vy > 0)
            P.vy = P.vy > FIX(5.0) ? FIX(-5.0) : -P.vy;
        return;
    }
    player_hurt(o->x);
}

static void open_door(s16 column)
{
    s16 row;
    for (row = 0; row < MAP_ROWS; row++)
        if (block_flags[world.map[((u16)column << 5) | row]] & B_DOOR)
            set_block(column, row, 0);
}

static void touch_spring(struct Object *o, const struct ObjectDef *d)
{
    /* param: power in pixels a frame; sideways ones push left when a is not 0 */
    fixed power = FROM_INT(o->param);
    if (o->type == OBJ_SPRING_UP) {
        if (!P.on_ground && P.vy < 0)
            return;
        player_launch(0, -power);
    } else {
        u8 left = d->a != 0;
        if (P.on_ground)
            P.ground = left ? -power : power;
        else
            player_launch(left ? -power : power, 0);
        P.facing_left = left;
        P.lock = 16;
    }
    o->timer = 12;
}

static void touch_hazard(struct Object *o, const struct ObjectDef *d)
{
    switch (zone_hazard[world.zone]) {
    case HAZARD_BITE:
        if (o->state)
            player_hurt(o->x);
        break;
    case HAZARD_SPOUT:
        if (o->state && !P.hurt)
            player_launch(0, FIX(-4.5));
        break;
    case HAZARD_ICICLE:
        if (o->state == 2)
            player_hurt(o->x);
        break;
    case HAZARD_TELEPORT:
        if (!o->timer && !world.jolt) {
            add_effect(FX_SPARKLE, o->x, o->y - 16, 0, 0);
            P.x = FROM_INT(d->a);
            P.y = FROM_INT(d->b);
            P.vx = P.vy = P.ground = 0;
            P.on_ground = 0;
            P.ride = -1;
            o->timer = 60;
            world.first_object = world.first_ring = 0;
            camera_snap();
            add_effect(FX_SPARKLE, d->a, d->b - 16, 0, 0);
        }
    }
}

/* Half width and height of what can be touched, by type. A spout reaches higher than its picture. */
static const u8 HALF[] = {0, 13, 8, 13, 11, 11, 0, 0, 8, 7};
static const u8 TALL[] = {0, 14, 32, 14, 20, 16, 0, 0, 16, 28};

static void touch_rings(void)
{
    const struct Level *level = &levels[world.level];
    s16 i, x = INT(P.x), y = INT(P.y) - 14, right = x + 20;
    for (i = world.first_ring; i < world.n_rings && level->rings[i].x < right; i++) {
        const struct RingDef *r = &level->rings[i];
        if (world.ring_taken[i] || abs16(r->x - x) > 17 || abs16(r->y - y) > 22)
            continue;
        world.ring_taken[i] = 1;
        if (world.rings < 999)
            world.rings++;
        world.score += 10;
        add_effect(FX_SPARKLE, r->x, r->y, 0, 0);
    }
}

void objects_touch(void)
{
    const struct Level *level = &levels[world.level];
    s16 i, right = world.cam_x + SCREEN_W + NEAR;
    s16 tall = player_curled() ? CURL_HEIGHT : STAND_HEIGHT;
    if (P.dead)
        return;
    touch_rings();
    for (i = world.first_object; i < world.n_objects && level->objects[i].x < right; i++) {
        struct Object *o = &world.objects[i];
        s16 reach = TALL[o->type], x = INT(P.x), y = INT(P.y);
        if (!HALF[o->type] || abs16(x - o->x) > HALF[o->type] + 6)
            continue;
        if (o->type == OBJ_HAZARD && zone_hazard[world.zone] == HAZARD_SPOUT)
            reach = DEF(i)->param;
        if (y <= o->y - reach || y - tall >= o->y)
            continue;
        switch (o->type) {
        case OBJ_SPRING_UP:
        case OBJ_SPRING_SIDE: touch_spring(o, DEF(i)); break;
        case OBJ_SPIKES: player_hurt(o->x); break;
        case OBJ_WALKER:
        case OBJ_FLYER: touch_enemy(o); break;
        case OBJ_LEVER:
            if (!o->state) {
                o->state = 1;
                open_door(DEF(i)->a);
            }
            break;
        case OBJ_HAZARD: touch_hazard(o, DEF(i)); break;
        }
    }
}

/* The picture of the world: sprites, the head-up display, the title. */
#include "video.h"
#include "world.h"
#include "pictures.h"

#define P world.player
#define LOW 0x0000       /* behind plane A's high tiles */
#define HIGH 0x8000      /* in front */
#define FLIP 0x0800
#define COMMON 0x0000    /* palette lines */
#define ZONE 0x6000

void plane_redraw(void);
void plane_jump(void);
void plane_follow(void);
void planes_scroll(s16 x, s16 y, s16 back_x, const s8 *ripple, u16 clock);

static u16 digits(u16 picture, u16 value, s16 x, s16 y, u8 count)
{
    static const u16 powers[4] = {1000, 100, 10, 1};
    u8 i;
    for (i = 4 - count; i < 4; i++) {
        u16 d = 0;
        while (value >= powers[i])
            value -= powers[i], d++;
        sprite(picture + d, x, y, HIGH);
        x += 8;
    }
    return x;
}

static void draw_hud(void)
{
    /* minutes, seconds: kept by subtraction, 68000 divisions of longs need libgcc */
    u16 seconds = world.frame / 60, minutes = 0;
    while (seconds >= 60)
        seconds -= 60, minutes++;
    sprite(PIC_HUD_RING, 12, 8, HIGH);
    digits(PIC_DIGITS, world.rings, 32, 12, 3);
    digits(PIC_DIGITS, minutes, 268, 12, 1);
    digits(PIC_DIGITS, seconds, 284, 12, 2);
}

static void draw_player(void)
{
    u16 frame, flags = COMMON | HIGH | (P.facing_left ? FLIP : 0);
    fixed speed = absf(P.ground);
    if (P.dead || P.hurt)
        frame = PLAYER_HURT;
    else if (world.ended && P.on_ground && speed < FIX(0.5))
        frame = PLAYER_WIN;
    else if (P.rolling || P.jumping)
        frame = P.rolling ? PLAYER_ROLL + (u16)(P.anim >> 6) % PLAYER_ROLL_COUNT
                          : PLAYER_JUMP + (u16)(P.anim >> 6) % PLAYER_JUMP_COUNT;
    else if (P.skidding)
        frame = PLAYER_SKID;
    else if (!P.on_ground)
        frame = PLAYER_WALK + 1;
    else if (speed < FIX(0.1))
        frame = P.crouching ? PLAYER_ROLL : PLAYER_STAND + (world.frame >> 5) % PLAYER_STAND_COUNT;
    else if (speed < FIX(4.5))
        frame = PLAYER_WALK + (P.anim >> 7) % PLAYER_WALK_COUNT;
    else
        frame = PLAYER_RUN + (P.anim >> 8) % PLAYER_RUN_COUNT;
    player_picture(frame);
    if (P.safe & 4 && !P.hurt)
        return;
    sprite(PIC_PLAYER, INT(P.x) - 16 - world.cam_x, INT(P.y) - 32 - world.cam_y + 1, flags);
}

/* A picture of the zone's own sprites; `clock` turns through its frames. */
static u16 zone_picture(u16 kind, u16 clock)
{
    return zone_art[world.zone].sprites[kind].first
         + (clock & zone_art[world.zone].sprites[kind].mask);
}

static void draw_object(const struct Object *o, const struct ObjectDef *d)
{
    u16 picture, flags = LOW;
    s16 x = o->x - world.cam_x, y = o->y - world.cam_y;
    const struct Picture *p;
    switch (o->type) {
    case OBJ_SPRING_UP:
        picture = PIC_SPRING_UP + (o->timer > 0);
        break;
    case OBJ_SPRING_SIDE:
        picture = PIC_SPRING_SIDE + (o->timer > 0);
        if (d->a)
            flags |= FLIP;
        break;
    case OBJ_SPIKES:
        picture = PIC_SPIKES;
        break;
    case OBJ_LEVER:
        picture = PIC_LEVER + o->state;
        break;
    case OBJ_WALKER:
        picture = zone_picture(ZONE_WALKER, world.frame >> 3);
        flags |= ZONE | (o->speed > 0 ? FLIP : 0); /* they are drawn facing left */
        break;
    case OBJ_FLYER:
        picture = zone_picture(ZONE_FLYER, world.frame >> 2);
        flags |= ZONE | (o->speed > 0 ? FLIP : 0); /* they are drawn facing left */
        break;
    case OBJ_PLATFORM:
        picture = zone_picture(ZONE_PLATFORM, 0);
        flags |= ZONE;
        break;
    case OBJ_CRUMBLE:
        picture = zone_picture(ZONE_CRUMBLE, 0);
        flags |= ZONE;
        if (o->state == 1)
            x += (o->timer & 2) - 1;
        break;
    case OBJ_HAZARD:
        picture = zone_picture(ZONE_HAZARD, world.frame >> 3);
        flags |= ZONE;
        if (zone_hazard[world.zone] == HAZARD_BITE) {
            /* rises out of the ground and sinks back, behind the terrain */
            if (!o->state)
                return;
            if (o->timer < 8)
                y += (8 - o->timer) * 4;
            else if (o->timer > 104)
                y += (o->timer - 104) * 4;
        } else if (zone_hazard[world.zone] == HAZARD_SPOUT) {
            s16 top = y - d->param;
            if (!o->state)
                return;
            for (y -= 32; y > top - 24; y -= 32)
                sprite(picture, x - 8, y, flags);
            return;
        } else if (zone_hazard[world.zone] == HAZARD_ICICLE && o->state == 1) {
            x += (o->timer & 2) - 1;
        }
        break;
    default:
        return;
    }
    p = &pictures[picture];
    sprite(picture, x - (p->width >> 1), y - p->height, flags);
}

static void draw_effects(void)
{
    s16 i;
    for (i = 0; i < MAX_EFFECTS; i++) {
        const struct Effect *e = &world.effects[i];
        s16 x = e->x - world.cam_x, y = e->y - world.cam_y;
        if (e->kind == FX_SPARKLE)
            sprite(PIC_SPARKLE + (e->timer >> 2 & 1), x - 8, y - 8, HIGH);
        else if (e->kind == FX_DUST)
            sprite(PIC_DUST + (e->timer < 8), x - (pictures[PIC_DUST].width >> 1), y - 8, HIGH);
        else if (e->kind == FX_LOST_RING && (e->timer > 24 || e->timer & 2))
            sprite(PIC_RING + (e->timer >> 2 & 3), x - 8, y - 8, HIGH);
    }
}

static void draw_rings(void)
{
    const struct Level *level = &levels[world.level];
    s16 i, right = world.cam_x + SCREEN_W + 8;
    u16 picture = PIC_RING + (world.frame >> 3 & 3);
    for (i = world.first_ring; i < world.n_rings && level->rings[i].x < right; i++)
        if (!world.ring_taken[i])
            sprite(picture, level->rings[i].x - 8 - world.cam_x,
                   level->rings[i].y - 8 - world.cam_y, LOW);
}

void draw_level_start(void)
{
    plane_fill(PLANE_A, 0);
    plane_redraw();
}

void draw_frame(void)
{
    const struct Level *level = &levels[world.level];
    s16 i, right = world.cam_x + SCREEN_W + 200;
    u8 under_water = P.in_liquid && zone_liquid[world.zone] == LIQUID_WATER;
#ifndef HOST /* view.c moves plane A, in frames that are not drawn, too */
    if (world.jolt)
        plane_jump();
    plane_follow();
#endif
    planes_scroll(world.cam_x, world.cam_y, world.cam_x, under_water ? sine : 0, world.frame);
    sprites_begin();
    draw_hud();
    draw_player();
    draw_effects();
    for (i = world.first_object; i < world.n_objects && level->objects[i].x < right; i++)
        draw_object(&world.objects[i], &level->objects[i]);
    draw_rings();
    sprites_end();
}

#ifndef HOST

static s16 text_length(const char *s)
{
    s16 n = 0;
    while (*s++)
        n++;
    return n;
}

static void text_centre(s16 row, const char *s)
{
    text((40 - text_length(s)) >> 1, row, s);
}

void draw_card(u8 level)
{
    char act[6] = "ACT 1";
    act[4] = '1' + levels[level].act;
    plane_fill(PLANE_A, 0);
    planes_scroll(0, 0, 0, 0, 0);
    text_centre(11, zone_names[levels[level].zone]);
    text_centre(13, act);
    sprites_begin();
    sprites_end();
}

/* The title, where left and right choose the act. */
void draw_title(u8 level, u16 count, u8 changed)
{
    char act[6] = "ACT 1";
    act[4] = '1' + levels[level].act;
    planes_scroll(0, 0, count << 2, 0, 0);
    if (changed) {
        plane_fill(PLANE_A, 0);
        text_centre(9, "PANGOLIN DASH");
        text_centre(13, zone_names[levels[level].zone]);
        text_centre(15, act);
        text_centre(20, "PRESS START");
    }
    sprites_begin();
    player_picture(PLAYER_RUN + (count >> 2) % PLAYER_RUN_COUNT);
    sprite(PIC_PLAYER, 144, 36, HIGH);
    sprites_end();
}

#endif

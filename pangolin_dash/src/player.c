/* The pangolin's movement: momentum on slopes, jumping, rolling, and the effects of the ground. */
#include "world.h"

/* Speeds in pixels a frame. */
#define TOP_SPEED FIX(5.5)
#define MAX_SPEED FIX(11.0)
#define ACCELERATION FIX(0.0625)
#define BRAKING FIX(0.42)
#define FRICTION FIX(0.06)
#define ROLL_FRICTION FIX(0.022)
#define ROLL_BRAKING FIX(0.11)
#define ROLL_START FIX(0.9)
#define ROLL_STOP FIX(0.4)
#define AIR_ACCELERATION FIX(0.11)
#define GRAVITY FIX(0.22)
#define LOW_GRAVITY FIX(0.1)
#define WATER_GRAVITY FIX(0.085)
#define JUMP FIX(6.4)
#define WATER_JUMP FIX(4.3)
#define SHORT_JUMP FIX(-3.0)
#define MAX_FALL FIX(13.0)
#define SKID_SPEED FIX(2.5)
#define ICE_ACCELERATION FIX(0.03)
#define ICE_FRICTION FIX(0.006)
#define ICE_BRAKING FIX(0.055)
#define BOUNCE FIX(7.6)
#define CONVEYOR FIX(1.6)
#define QUICKSAND_SINK FIX(0.45)
#define QUICKSAND_JUMP FIX(4.6)
#define BREAK_SPEED FIX(2.0)

#define STEP_UP 13   /* a higher rise is a wall */
#define STEP_DOWN 12 /* a deeper drop is a ledge */

#define P world.player

/* Pull along the ground for angles -2..2: running, rolling downhill, rolling uphill. */
static const fixed RUN_PULL[5] = {FIX(0.125), FIX(0.04), 0, FIX(-0.04), FIX(-0.125)};
static const fixed FALL_PULL[5] = {FIX(0.24), FIX(0.11), 0, FIX(-0.11), FIX(-0.24)};
static const fixed CLIMB_PULL[5] = {FIX(0.09), FIX(0.035), 0, FIX(-0.035), FIX(-0.09)};

/* cos and sin of 26.6 and 45 degrees by shifts: libgcc's long multiply is not linked. */
static fixed along_x(fixed v, s8 angle)
{
    if (angle == 0)
        return v;
    if (angle == 1 || angle == -1)
        return v - (v >> 3) + (v >> 6); /* 0.891 */
    return (v >> 1) + (v >> 2) - (v >> 5); /* 0.719 */
}

static fixed along_y(fixed v, s8 angle)
{
    switch (angle) {
    case 1: return -((v >> 1) - (v >> 4)); /* 0.4375 */
    case -1: return (v >> 1) - (v >> 4);
    case 2: return -((v >> 1) + (v >> 2) - (v >> 5));
    case -2: return (v >> 1) + (v >> 2) - (v >> 5);
    }
    return 0;
}

static fixed clamp(fixed v, fixed limit)
{
    return v > limit ? limit : v < -limit ? -limit : v;
}

static fixed toward_zero(fixed v, fixed by)
{
    if (v > 0)
        return v > by ? v - by : 0;
    return v < -by ? v + by : 0;
}

u8 player_curled(void)
{
    return P.rolling || P.jumping;
}

static s16 height(void)
{
    return player_curled() ? CURL_HEIGHT : STAND_HEIGHT;
}

void player_start(s16 x, s16 y)
{
    P.x = FROM_INT(x);
    P.y = FROM_INT(y);
    P.on_ground = 1;
    P.ride = -1;
}

static void leave_ground(void)
{
    P.vx = along_x(P.ground, P.angle);
    P.vy = along_y(P.ground, P.angle);
    P.on_ground = 0;
    P.angle = 0;
    P.ride = -1;
    P.skidding = 0;
}

/* Thrown by a spring, a spout or a bouncy block. */
void player_launch(fixed vx, fixed vy)
{
    if (P.on_ground)
        leave_ground();
    if (vx)
        P.vx = vx;
    if (vy) {
        P.vy = vy;
        P.rolling = 0;
        P.jumping = 0;
    }
}

void player_die(void)
{
    if (P.dead)
        return;
    P.dead = 1;
    P.on_ground = 0;
    P.vx = 0;
    P.vy = FIX(-5.5);
    if (world.lives)
        world.lives--;
}

void player_hurt(s16 from_x)
{
    s16 i;
    if (P.safe || P.hurt || P.dead || world.ended)
        return;
    if (!world.rings) {
        player_die();
        return;
    }
    for (i = 0; i < 8; i++)
        add_effect(FX_LOST_RING, INT(P.x), INT(P.y) - 16, (i & 3) * 2 - 3, i < 4 ? -5 : -3);
    world.rings = 0;
    leave_ground();
    P.vx = INT(P.x) < from_x ? FIX(-2.0) : FIX(2.0);
    P.vy = FIX(-3.6);
    P.rolling = P.jumping = 0;
    P.hurt = 40;
    P.safe = 130;
}

/* Rolling into breakable blocks breaks them. */
static u8 break_block(s16 x, s16 y, fixed speed)
{
    u8 broken = 0;
    s16 row;
    if (!player_curled() || absf(speed) < BREAK_SPEED)
        return 0;
    for (row = (y - CURL_HEIGHT) >> 4; row <= (y - 2) >> 4; row++)
        if (row >= 0 && block_flags[block_at(x, row << 4)] & B_BREAK) {
            set_block(x >> 4, row, 0);
            add_effect(FX_DUST, (x & ~15) + 8, (row << 4) + 12, 0, -1);
            world.score += 20;
            broken = 1;
        }
    return broken;
}

static void stop_at_wall(s16 direction)
{
    if (direction > 0)
        P.x = FROM_INT(((INT(P.x) + HALF_WIDTH) & ~15) - HALF_WIDTH - 1);
    else
        P.x = FROM_INT(((INT(P.x) - HALF_WIDTH) | 15) + HALF_WIDTH + 1);
}

static u8 at_level_edge(void)
{
    s16 left = HALF_WIDTH + 2, right = (s16)(levels[world.level].columns << 4) - HALF_WIDTH - 2;
    if (INT(P.x) < left)
        P.x = FROM_INT(left);
    else if (INT(P.x) > right)
        P.x = FROM_INT(right);
    else
        return 0;
    return 1;
}

static void set_surface(u8 block)
{
    P.angle = block_angle[block];
    P.surface = block_flags[block];
}

static void jump(void)
{
    u8 low = P.surface & B_SPECIAL && zone_special[world.zone] == SPECIAL_LOW_GRAVITY;
    fixed power = P.in_liquid && zone_liquid[world.zone] == LIQUID_WATER ? WATER_JUMP : JUMP;
    s8 angle = P.angle;
    leave_ground();
    /* away from the slope: hopping up a steep ramp throws the player back down */
    if (angle == 2 || angle == -2) {
        fixed part = along_x(power, 2);
        P.vx += angle > 0 ? -part : part;
        P.vy -= part;
    } else {
        if (angle)
            P.vx += angle > 0 ? -(power >> 2) : power >> 2;
        P.vy -= power;
    }
    P.jumping = 1;
    P.rolling = 0;
    P.low_gravity = low;
}

/* The next floor under a walking player; 1 if there is one within a step. */
static u8 follow_floor(void)
{
    static const s8 PROBES[3] = {0, FOOT, -FOOT};
    s16 x = INT(P.x), y = INT(P.y), i, floor;
    u8 block;
    for (i = 0; i < 3; i++) {
        floor = floor_at(x + PROBES[i], y, y - 3, &block);
        if (i && block_angle[block])
            continue; /* toes stand on edges, not on slopes */
        if (floor != NO_FLOOR && floor >= y - STEP_UP - 3 && floor <= y + STEP_DOWN) {
            P.y = FROM_INT(floor);
            set_surface(block);
            return 1;
        }
    }
    return 0;
}

/* A rise of more than a step ahead, or something at head height. */
static u8 wall_ahead(s16 direction)
{
    s16 x = INT(P.x) + (direction > 0 ? HALF_WIDTH : -HALF_WIDTH), y = INT(P.y), floor;
    u8 block;
    floor = floor_at(x, y - 1, 0x3000, &block);
    return (floor != NO_FLOOR && floor < y - STEP_UP) || is_wall(x, y - height() + 6);
}

/* Move in steps of at most 3 pixels: after a longer one a steep slope would look like a wall. */
static void walk(fixed distance)
{
    while (distance && P.on_ground) {
        fixed piece = clamp(distance, FIX(3.0));
        s16 direction = piece > 0 ? 1 : -1;
        s16 x;
        distance -= piece;
        P.x += along_x(piece, P.angle);
        x = INT(P.x) + (direction > 0 ? HALF_WIDTH : -HALF_WIDTH);
        if (wall_ahead(direction)) {
            if (break_block(x, INT(P.y), P.ground))
                continue;
            stop_at_wall(direction);
            P.ground = 0;
            distance = 0;
        }
        if (at_level_edge())
            P.ground = 0;
        if (P.ride >= 0) {
            if (abs16(INT(P.x) - world.objects[P.ride].x) > 16 + FOOT)
                leave_ground();
        } else if (!follow_floor()) {
            leave_ground();
        }
    }
}

static void on_special_ground(void)
{
    u8 kind = zone_special[world.zone];
    if (kind == SPECIAL_BOUNCE)
        player_launch(0, -BOUNCE);
    else if (kind == SPECIAL_CONVEYOR)
        walk(P.surface & B_MIRROR ? CONVEYOR : -CONVEYOR);
}

static void ground_step(u8 pad, u8 pressed)
{
    u8 ice = P.surface & B_SPECIAL && zone_special[world.zone] == SPECIAL_ICE;
    u8 water = P.in_liquid && zone_liquid[world.zone] == LIQUID_WATER;
    fixed acceleration = ice ? ICE_ACCELERATION : water ? ACCELERATION / 2 : ACCELERATION;
    fixed friction = ice ? ICE_FRICTION : FRICTION, braking = ice ? ICE_BRAKING : BRAKING;
    fixed top = water ? FIX(3.4) : TOP_SPEED;
    s8 direction = pad & PAD_RIGHT ? 1 : pad & PAD_LEFT ? -1 : 0;
    u8 i = P.angle + 2;

    if (P.ride >= 0) { /* carried */
        struct Object *o = &world.objects[P.ride];
        P.x += FROM_INT(o->dx);
        P.y = FROM_INT(o->y - 16);
        if (o->state == 2 || at_level_edge())
            leave_ground();
    }
    if (P.on_ground && pressed & PAD_JUMP) {
        jump();
        return;
    }
    P.crouching = 0;
    if (pad & PAD_DOWN && !P.rolling) {
        if (absf(P.ground) >= ROLL_START)
            P.rolling = 1;
        else
            P.crouching = 1, direction = 0;
    }
    P.skidding = 0;
    if (P.rolling) {
        u8 downhill = (P.ground > 0) == (P.angle < 0);
        P.ground += downhill ? FALL_PULL[i] : CLIMB_PULL[i];
        if (direction && (direction > 0) != (P.ground > 0))
            P.ground = toward_zero(P.ground, ROLL_BRAKING);
        P.ground = toward_zero(P.ground, ice ? ICE_FRICTION : ROLL_FRICTION);
        if (absf(P.ground) < ROLL_STOP && P.angle < 2 && P.angle > -2)
            P.rolling = 0;
    } else {
        P.ground += RUN_PULL[i];
        if (direction) {
            fixed speed = direction > 0 ? P.ground : -P.ground;
            P.facing_left = direction < 0;
            if (speed < 0) {
                P.skidding = speed < -SKID_SPEED;
                /* only to a stop: braking must not push the player up a steep slope */
                P.ground = toward_zero(P.ground, braking);
            } else if (speed < top) {
                speed += acceleration;
                if (speed > top)
                    speed = top;
                P.ground = direction > 0 ? speed : -speed;
            } else if (water) {
                P.ground = toward_zero(P.ground, FRICTION);
            }
        } else {
            P.ground = toward_zero(P.ground, friction);
        }
    }
    P.ground = clamp(P.ground, MAX_SPEED);
    if (P.ground)
        walk(P.ground);
    else if (P.ride < 0 && !follow_floor())
        leave_ground();
    if (P.on_ground && P.surface & B_SPECIAL && P.ride < 0)
        on_special_ground();
}

static void land(s16 floor, u8 block)
{
    fixed drop = P.vy;
    P.y = FROM_INT(floor);
    P.on_ground = 1;
    set_surface(block);
    P.ground = P.vx;
    if (P.angle == 2 || P.angle == -2) {
        /* the part of the flight along the slope: the player cannot jump up a steep ramp */
        P.ground = along_x(P.angle < 0 ? P.vx + drop : P.vx - drop, 2);
    } else if (P.angle && absf(P.vx) < drop) {
        P.ground += P.angle < 0 ? drop >> 2 : -(drop >> 2);
    }
    P.vx = P.vy = 0;
    P.jumping = P.low_gravity = 0;
    P.rolling = P.rolling && P.pad & PAD_DOWN;
    P.hurt = 0;
}

static void air_sideways(fixed distance)
{
    while (distance) {
        fixed piece = clamp(distance, FIX(6.0));
        s16 direction = piece > 0 ? 1 : -1, x, y = INT(P.y);
        distance -= piece;
        P.x += piece;
        x = INT(P.x) + (direction > 0 ? HALF_WIDTH : -HALF_WIDTH);
        if (is_wall(x, y - 3) || is_wall(x, y - 14) || is_wall(x, y - height() + 2)) {
            if (break_block(x, y, P.vx))
                continue;
            stop_at_wall(direction);
            P.vx = distance = 0;
        }
        if (at_level_edge())
            P.vx = 0;
    }
}

static void air_down(s16 old_y)
{
    static const s8 PROBES[3] = {0, FOOT, -FOOT};
    s16 x = INT(P.x), y = INT(P.y), i, floor;
    u8 block;
    i = platform_under(x, old_y, y);
    if (i >= 0) {
        land(world.objects[i].y - 16, 0);
        P.ride = i;
        return;
    }
    for (i = 0; i < 3; i++) {
        floor = floor_at(x + PROBES[i], y, old_y, &block);
        if (i && block_angle[block])
            continue;
        if (floor != NO_FLOOR && y >= floor && floor >= old_y - 15) {
            land(floor, block);
            return;
        }
    }
}

static void air_step(u8 pad, u8 pressed)
{
    s16 old_y = INT(P.y), top;
    u8 liquid = P.in_liquid ? zone_liquid[world.zone] : LIQUID_DEADLY;
    fixed gravity = GRAVITY;
    if (P.in_liquid && liquid == LIQUID_WATER)
        gravity = WATER_GRAVITY;
    else if (P.low_gravity)
        gravity = LOW_GRAVITY;

    if (P.jumping && !(pad & PAD_JUMP) && P.vy < SHORT_JUMP)
        P.vy = SHORT_JUMP;
    if (!P.hurt && !P.lock) {
        if (pad & PAD_RIGHT) {
            P.facing_left = 0;
            if (P.vx < TOP_SPEED)
                P.vx += AIR_ACCELERATION;
        } else if (pad & PAD_LEFT) {
            P.facing_left = 1;
            if (P.vx > -TOP_SPEED)
                P.vx -= AIR_ACCELERATION;
        }
    }
    P.vx = clamp(P.vx, MAX_SPEED);
    P.vy += gravity;
    if (P.vy > MAX_FALL)
        P.vy = MAX_FALL;
    if (P.in_liquid && liquid == LIQUID_WATER) {
        if (P.vy > FIX(2.6))
            P.vy = FIX(2.6);
        P.vx = clamp(P.vx, FIX(3.4));
    } else if (P.in_liquid && liquid == LIQUID_QUICKSAND) {
        P.vx = clamp(P.vx, FIX(1.2));
        if (P.vy > QUICKSAND_SINK)
            P.vy = QUICKSAND_SINK;
        if (pressed & PAD_JUMP) {
            P.vy = -QUICKSAND_JUMP;
            P.jumping = 1;
        }
    }

    air_sideways(P.vx);
    P.y += P.vy;
    if (P.vy < 0) {
        top = INT(P.y) - height();
        if (top >= 0 && (is_wall(INT(P.x) - FOOT, top) || is_wall(INT(P.x) + FOOT, top))) {
            P.y = FROM_INT((top | 15) + 1 + height());
            P.vy = 0;
        }
    } else {
        air_down(old_y);
    }
}

/* Water slows, quicksand swallows, everything else that flows is deadly. */
static void feel_liquid(void)
{
    s16 x = INT(P.x), y = INT(P.y);
    u8 kind = zone_liquid[world.zone], feet = block_flags[block_at(x, y - 4)] & B_LIQUID;
    P.in_liquid = kind == LIQUID_WATER ? block_flags[block_at(x, y - 14)] & B_LIQUID : feet;
    if (!feet)
        return;
    if (kind == LIQUID_DEADLY)
        player_die();
    else if (kind == LIQUID_QUICKSAND && block_flags[block_at(x, y - STAND_HEIGHT)] & B_LIQUID)
        player_die();
}

void player_step(u8 pad)
{
    u8 pressed = pad & ~P.pad;
    if (P.dead) {
        P.vy += GRAVITY;
        P.y += P.vy;
        if (P.dead < 255)
            P.dead++;
        return;
    }
    if (P.lock) {
        P.lock--;
        pad &= ~(PAD_LEFT | PAD_RIGHT);
    }
    if (P.safe)
        P.safe--;
    if (P.hurt) {
        P.hurt--;
        pad = pressed = 0;
    }
    P.pad = pad;
    feel_liquid();
    if (P.dead)
        return;
    if (P.on_ground)
        ground_step(pad, pressed);
    else
        air_step(pad, pressed);
    P.anim += P.on_ground ? (u16)(absf(P.ground) >> 12) + 1 : 24;
    if (INT(P.y) > LEVEL_HEIGHT + 24)
        player_die();
}

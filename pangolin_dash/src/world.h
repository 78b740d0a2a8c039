/* The whole state of the game in one structure, and the functions of the modules.

   Nothing here knows the video hardware: player.c, terrain.c, objects.c, camera.c and level.c also
   compile for other machines (HOST), where `world` is whichever world a thread works on, of whichever
   set of levels (host.c), and a copy of it is a save-state. */
#ifndef WORLD_H
#define WORLD_H

#include "types.h"
#include "vars.h" /* made by pangolin_dash/compile/ram.py: struct Vars, read by stable-retro */

#define MAP_ROWS 32      /* blocks; a level is 512 pixels high */
#define MAP_MAX_COLS 672 /* blocks */
#define LEVEL_HEIGHT (MAP_ROWS * 16)
#define SCREEN_W 320
#define SCREEN_H 224
#define MAX_OBJECTS 200
#define MAX_RINGS 256
#define MAX_EFFECTS 12
#define MAX_DIRTY 16
#define FRAME_LIMIT 18000

/* Flags of a block. The table block_flags comes from pangolin_dash/levels/blocks.py. */
enum { B_SOLID = 1, B_SLOPE = 2, B_ONEWAY = 4, B_LIQUID = 8, B_BREAK = 16, B_DOOR = 32,
       B_SPECIAL = 64, B_MIRROR = 128 };

/* The effects of `special` blocks, liquid and hazards in a zone. */
enum { SPECIAL_BOUNCE, SPECIAL_CONVEYOR, SPECIAL_ICE, SPECIAL_LOW_GRAVITY };
enum { LIQUID_DEADLY, LIQUID_WATER, LIQUID_QUICKSAND };
enum { HAZARD_BITE, HAZARD_SPOUT, HAZARD_ICICLE, HAZARD_TELEPORT };

enum { OBJ_NONE, OBJ_SPRING_UP, OBJ_SPRING_SIDE, OBJ_SPIKES, OBJ_WALKER, OBJ_FLYER, OBJ_PLATFORM,
       OBJ_CRUMBLE, OBJ_LEVER, OBJ_HAZARD };

/* Sizes of the player around (x, y) = (centre, surface under the feet), in pixels. */
enum { HALF_WIDTH = 10, FOOT = 6, STAND_HEIGHT = 30, CURL_HEIGHT = 22 };

struct ObjectDef { s16 x, y; u8 type, param; s16 a, b; };
struct RingDef { s16 x, y; };

struct Level {
    u8 zone, act;
    u16 columns;
    s16 start_x, start_y, end_x;
    u16 points_per_pixel; /* 9000 * 4096 / (end_x - start_x), a whole number */
    const u8 *map;        /* columns * MAP_ROWS bytes, column after column */
    const struct ObjectDef *objects;
    u16 n_objects;
    const struct RingDef *rings;
    u16 n_rings;
};

struct Object {
    s16 x, y;   /* centre, bottom */
    s16 dx, dy; /* how far a platform moved in this frame */
    u8 type, param;
    u8 state, timer;
    s16 speed;
};

struct Effect { s16 x, y, dx, dy; u8 kind, timer; };
enum { FX_NONE, FX_SPARKLE, FX_DUST, FX_LOST_RING };

struct Player {
    fixed x, y;   /* centre, surface under the feet */
    fixed vx, vy; /* in the air */
    fixed ground; /* speed along the ground */
    s8 angle;     /* -2 steep down, -1 gentle down, 0 flat, 1 gentle up, 2 steep up (to the right) */
    u8 on_ground, rolling, jumping, facing_left;
    u8 surface;   /* flags of the block under the feet */
    u8 in_liquid, low_gravity, skidding, crouching;
    u8 lock;      /* frames in which left and right do nothing */
    u8 hurt;      /* frames of being thrown back */
    u8 safe;      /* frames in which nothing hurts */
    u8 dead;
    s16 ride;     /* index of the platform stood on, or -1 */
    u8 pad;
    u16 anim;     /* drives the walking picture */
};

#ifdef HOST
typedef u16 LevelNumber;
#else
typedef u8 LevelNumber;
#endif

struct World {
    struct Vars vars; /* first: 0xFF0000 */
    struct Player player;
    LevelNumber level;
    u8 zone, act, lives;
    u8 ended;
    u16 rings;
    u32 score;
    u16 frame; /* logic frames since the act's start */
    u32 progress;
    u16 time_left; /* FRAME_LIMIT - frames at the level's end, 0 before */
    s16 cam_x, cam_y;
    u8 jolt; /* a teleport happened: the picture must be redrawn */
    s16 n_objects, n_rings;
    s16 first_object, first_ring;
    u8 n_dirty;
    u16 dirty[MAX_DIRTY]; /* map indices of blocks that changed */
    struct Effect effects[MAX_EFFECTS];
    struct Object objects[MAX_OBJECTS];
    u8 ring_taken[MAX_RINGS];
    u8 map[MAP_MAX_COLS * MAP_ROWS];
};

/* Tables written by pangolin_dash/compile, and the world. */
#ifdef HOST
extern _Thread_local struct World *current_world;
extern _Thread_local const struct Level *current_levels;
#define world (*current_world)
#define levels current_levels
#else
extern struct World world;
extern const struct Level levels[];
extern const u16 level_count;
#endif
extern const u8 block_flags[256], block_shape[256];
extern const s8 block_angle[256];
extern const u8 shape_height[16][16];
extern const u8 zone_special[], zone_liquid[], zone_hazard[];
extern const s8 sine[256];

/* terrain.c */
#define NO_FLOOR 0x4000
u8 block_at(s16 x, s16 y);
void set_block(s16 column, s16 row, u8 block);
s16 floor_at(s16 x, s16 y, s16 one_way_limit, u8 *block);
u8 is_wall(s16 x, s16 y);

/* player.c */
void player_start(s16 x, s16 y);
void player_step(u8 pad);
void player_hurt(s16 from_x);
void player_die(void);
void player_launch(fixed vx, fixed vy);
u8 player_curled(void);

/* objects.c */
void objects_load(const struct Level *level);
void objects_step(void);    /* enemies, platforms, hazards */
void objects_touch(void);   /* contacts with the player */
s16 platform_under(s16 x, s16 old_y, s16 new_y);
void add_effect(u8 kind, s16 x, s16 y, s16 dx, s16 dy);

/* camera.c */
void camera_snap(void);
void camera_step(void);

/* level.c */
void level_load(LevelNumber index);
void level_step(u8 pad);
void publish(void);

#endif
